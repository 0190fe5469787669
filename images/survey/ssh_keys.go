package survey

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// sshServers are the programs that read authorized_keys.
var sshServers = []string{"/usr/sbin/sshd", "/usr/bin/sshd", "/usr/sbin/dropbear", "/usr/bin/dropbear"}

// account is a line of passwd(5).
type account struct {
	name, home string
	uid, gid   uint32
}

// sshKeys makes a template of the authorized_keys of the user with whom people log
// in.
func (e *explorer) sshKeys() error {
	server, err := e.firstProgram(sshServers...)
	if err != nil || !e.opt.Templates && server == "" {
		return err
	}
	if server == "" {
		e.addReason("templates authorized_keys", "left out: the image has no SSH server; install one, and run init --templates --force")
		return nil
	}
	who, err := e.login()
	if err != nil {
		return err
	}
	return e.draft(draft{
		path: who.home + "/.ssh/authorized_keys", why: who.name + " may log in with the keys of args.sshKeys", edit: keysFile,
		mode: 0o600, dirMode: 0o700, uid: who.uid, gid: who.gid, label: "ssh_home_t",
	})
}

// login is the usual user of the distribution's images for clouds, who is called
// as it is, if the image has that user; and otherwise root. Only a process that
// can make files for a user can give that user keys, since sshd reads them as the
// user.
func (e *explorer) login() (account, error) {
	root := account{name: "root", home: "/root"}
	text, err := e.text("/etc/passwd")
	if err != nil {
		return root, err
	}
	all := accounts(text)
	if at := slices.IndexFunc(all, func(a account) bool { return a.name == "root" }); at >= 0 && all[at].uid == 0 {
		root = all[at]
	}
	id := e.found.Distribution.ID
	short, _, _ := strings.Cut(id, "-")
	for _, name := range []string{id, short, "cloud-user", "ec2-user"} {
		at := slices.IndexFunc(all, func(a account) bool { return a.name == name && a.uid != 0 })
		if at < 0 {
			continue
		}
		if ok, err := e.exists(all[at].home); err != nil {
			return root, err
		} else if !ok {
			continue
		}
		if e.opt.Owners {
			return all[at], nil
		}
		if e.opt.Templates {
			e.addReason("templates authorized_keys", "root gets the keys instead of %s: only root can make files that belong to %s", name, name)
		}
		return root, nil
	}
	return root, nil
}

// accounts parses passwd(5). It ignores lines that are not accounts with a home.
func accounts(text string) (all []account) {
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) != 7 || !strings.HasPrefix(f[5], "/") || path.Clean(f[5]) == "/" {
			continue
		}
		uid, errUID := strconv.ParseUint(f[2], 10, 32)
		gid, errGID := strconv.ParseUint(f[3], 10, 32)
		if errUID == nil && errGID == nil {
			all = append(all, account{f[0], path.Clean(f[5]), uint32(uid), uint32(gid)})
		}
	}
	return all
}
