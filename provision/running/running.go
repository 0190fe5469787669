// Package running makes the files by which an installed system tells the server that
// it has come up. [Files] finds out which program starts services in an image, and
// makes a service for it that calls a URL once, and again until a server has answered.
//
// An image that has no such program, or nothing that speaks HTTP, gets no files. Its own
// templates may call the URL, which they see as env.running.
package running

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"cloudlets/images"
)

// URLsPath is the file of an installed system with the URLs of its server, one a line. A
// system that no server installed has no such file.
const URLsPath = "/etc/cloudlets/running"

// scriptPath is the script that all services share.
const scriptPath = "/etc/cloudlets/say-running"

// callScript calls the URLs. It needs a POSIX shell, and one of the clients.
//
//go:embed say-running.sh
var callScript []byte

// script is what a service starts.
type script struct {
	name string // of the service
	says string // what it does
	path string
	// unit, need and header say when it is started: for systemd, for OpenRC, and for
	// sysvinit.
	unit, need, header string
}

// call tells the server, and alone only says on the machine that its system has come up.
var (
	call  = script{"cloudlets-running", "Tell the cloudlets server that this system runs", scriptPath, "network.target", "need net", "$network $remote_fs"}
	alone = script{"cloudlets-up", "Say that this system is up, which ends its trial after an update", "/etc/cloudlets/say-up", "multi-user.target", "after *", "$all"}
)

// clients are the programs by which the script can call, each with where it may be.
var clients = []string{"curl", "wget", "python3", "perl", "bash"}

// ErrNoService and ErrNoClient say why an image gets no files.
var (
	ErrNoService = errors.New("the image has none of systemd, OpenRC, sysvinit and runit, so nothing starts the call that says that the system runs: a template may have something else call <%= env.running %>")
	ErrNoClient  = fmt.Errorf("the image has none of %s, so nothing can make the call that says that the system runs: add one of them", strings.Join(clients, ", "))
)

// service is how one program that starts services is told of ours.
type service struct {
	name string
	// signs are paths of which an image has one if it uses the program.
	signs []string
	files func(script) []images.File
}

var services = []service{
	{"systemd", []string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd"}, systemd},
	{"OpenRC", []string{"/sbin/openrc-run", "/usr/sbin/openrc-run"}, openRC},
	{"runit", []string{"/etc/runit/runsvdir/default"}, runit},
	{"sysvinit", []string{"/etc/rc2.d"}, sysvinit},
}

// Files returns the files for an image that make its system call each of the URLs, in
// order, until one answers. The error is an [ErrNoService] or an [ErrNoClient] if the
// image cannot do it.
func Files(tree images.Tree, urls []string) ([]images.File, error) {
	found, err := find(tree)
	if err != nil {
		return nil, err
	}
	can, err := hasClient(tree)
	if err != nil {
		return nil, err
	}
	if !can {
		return nil, ErrNoClient
	}
	return append([]images.File{
		file(scriptPath, 0o755, string(callScript)),
		file(URLsPath, 0o600, strings.Join(urls, "\n")+"\n"), // they have a secret in them
	}, found.files(call)...), nil
}

// Alone returns the files for an image on a disk that no server installs: when its system
// has started all its services, it makes the file by which a system on trial says that it
// runs. The error is an [ErrNoService] if nothing in the image can be told to do so.
func Alone(tree images.Tree) ([]images.File, error) {
	found, err := find(tree)
	if err != nil {
		return nil, err
	}
	return append([]images.File{
		file(alone.path, 0o755, "#!/bin/sh\n# Says that this system is up. On a disk with two systems, one that was updated is accepted by that.\nmkdir -p /run/cloudlets && : >/run/cloudlets/running\n"),
	}, found.files(alone)...), nil
}

// find returns the service for an image. A systemd comes first, as its packages often
// leave /etc/rc2.d behind.
func find(tree images.Tree) (service, error) {
	for _, s := range services {
		for _, sign := range s.signs {
			has, err := has(tree, sign)
			if err != nil {
				return service{}, err
			}
			if has {
				return s, nil
			}
		}
	}
	return service{}, ErrNoService
}

func hasClient(tree images.Tree) (bool, error) {
	for _, client := range clients {
		for _, dir := range []string{"/usr/bin/", "/bin/", "/usr/local/bin/"} {
			if has, err := has(tree, dir+client); has || err != nil {
				return has, err
			}
		}
	}
	return false, nil
}

func has(tree images.Tree, path string) (bool, error) {
	_, err := images.Resolve(tree, path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, images.ErrTooManyLinks) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for what could say that the system runs: %w", err)
	}
	return true, nil
}

func systemd(s script) []images.File {
	unit := "/etc/systemd/system/" + s.name + ".service"
	return []images.File{
		file(unit, 0o644, `[Unit]
Description=`+s.says+`
Documentation=file://`+s.path+`
After=`+s.unit+`

[Service]
ExecStart=/bin/sh `+s.path+`

[Install]
WantedBy=multi-user.target
`),
		link("/etc/systemd/system/multi-user.target.wants/"+s.name+".service", unit),
	}
}

func openRC(s script) []images.File {
	return []images.File{
		file("/etc/init.d/"+s.name, 0o755, `#!/sbin/openrc-run
description="`+s.says+`"
command=/bin/sh
command_args=`+s.path+`
command_background=yes
pidfile=/run/`+s.name+`.pid

depend() {
	`+s.need+`
}
`),
		link("/etc/runlevels/default/"+s.name, "/etc/init.d/"+s.name),
	}
}

// runit starts a service again that ends, so ours stays.
func runit(s script) []images.File {
	return []images.File{
		file("/etc/sv/"+s.name+"/run", 0o755, `#!/bin/sh
/bin/sh `+s.path+`
exec sleep 2147483647
`),
		link("/etc/runit/runsvdir/default/"+s.name, "/etc/sv/"+s.name),
	}
}

func sysvinit(s script) []images.File {
	files := []images.File{file("/etc/init.d/"+s.name, 0o755, `#!/bin/sh
### BEGIN INIT INFO
# Provides:          `+s.name+`
# Required-Start:    `+s.header+`
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:
# Short-Description: `+s.says+`
### END INIT INFO
case "$1" in
start) /bin/sh `+s.path+` >/dev/null 2>&1 & ;;
esac
`)}
	for _, level := range []string{"2", "3", "4", "5"} {
		files = append(files, link("/etc/rc"+level+".d/S99"+s.name, "../init.d/"+s.name))
	}
	return files
}

func file(path string, mode uint32, content string) images.File {
	return images.File{Entry: images.Entry{Path: path, Type: images.Regular, Mode: mode, Size: int64(len(content))}, Content: []byte(content)}
}

func link(path, to string) images.File {
	return images.File{Entry: images.Entry{Path: path, Type: images.Symlink, Mode: 0o777, Link: to}}
}
