package survey

import (
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// keyMakers are where a service may be that makes the SSH host keys at the first start, or
// settings of one.
var keyMakers = []string{
	"/etc/systemd/system/*ssh*", "/etc/systemd/system/*ssh*.d/*", "/usr/lib/systemd/system/*ssh*", "/usr/lib/systemd/system/*ssh*.d/*",
	"/lib/systemd/system/*ssh*", "/lib/systemd/system/*ssh*.d/*", "/etc/init.d/*ssh*", "/etc/default/*ssh*", "/etc/sv/*ssh*/run", "/etc/runit/sv/*ssh*/run",
}

// keyTools are programs that make host keys: OpenSSH's own, and those of Fedora and SUSE.
var keyTools = []string{"ssh-keygen", "sshd-keygen", "sshd-gen-keys"}

// hostKeys makes SSH host keys volatile: anyone who has the image would
// otherwise have the keys of every copy.
func (e *explorer) hostKeys() error {
	if ok, err := e.isDir("/etc/ssh"); err != nil || !ok {
		return err
	}
	maker, err := e.keyMaker()
	if err == nil && maker == "" {
		e.keyFiles, err = e.draftKeyMaker()
	}
	if err != nil {
		return err
	}
	var after string
	switch {
	case maker != "":
		after = maker + " makes new ones"
	case len(e.keyFiles) == 0:
		after = "nothing in the image makes new ones, and sshd does not start without keys: add a service that runs \"ssh-keygen -A\" before sshd"
	case e.opt.Templates:
		after = e.keyFiles[0].path + ", as it is added, has each copy make new ones"
	default:
		after = "nothing in the image makes new ones, and sshd does not start without keys: --templates adds what does"
	}
	e.leaveOut("/etc/ssh/ssh_host_.+", "secrets: anyone with the image could impersonate every copy of it; %s; to keep a machine's keys when it gets a new version, make all of /etc/ssh persistent", after)
	return nil
}

// keyMaker returns the file of a service that makes host keys, or "".
func (e *explorer) keyMaker() (string, error) {
	for _, pattern := range keyMakers {
		names, err := images.Glob(e.tree, pattern)
		if err != nil {
			return "", err
		}
		for _, name := range names {
			text, err := e.text(name)
			if err != nil {
				return "", err
			}
			if makesKeys(text, strings.Contains(name, "/systemd/")) {
				return name, nil
			}
		}
	}
	return "", nil
}

// makesKeys says whether a script or a unit makes host keys. A unit for the first boot
// alone does not: an empty /etc/machine-id, as copies have it, is none ("First boot
// semantics" in machine-id(5)).
func makesKeys(text string, unit bool) bool {
	makes := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case unit && strings.HasPrefix(line, "ConditionFirstBoot="):
			return false
		case strings.HasPrefix(line, "#"), unit && !strings.HasPrefix(line, "Exec"):
			continue
		}
		makes = makes || slices.ContainsFunc(keyTools, func(tool string) bool { return strings.Contains(line, tool) })
	}
	return makes
}

// keySettings are those of Debian's sshd.
const keySettings = "/etc/default/ssh"

const whyKeys = "copies have no host keys, and without one sshd does not start: each copy makes its own"

// draftKeyMaker describes files by which a copy makes its own host keys before its SSH
// server starts. The packages of Debian and its kin make keys once, when they are
// installed; others have a service for that. There are none if nothing is known to
// read them.
func (e *explorer) draftKeyMaker() ([]draft, error) {
	keygen, err := e.firstProgram("/usr/bin/ssh-keygen", "/bin/ssh-keygen")
	if err != nil || keygen == "" {
		return nil, err
	}
	if maker, err := e.declared(); err != nil || maker != "" {
		return nil, err
	}
	switch e.found.Init.System {
	case Systemd:
		return e.draftKeyUnit(keygen)
	case SysVInit, OpenRC, Runit:
		return e.draftKeyDefault(keygen)
	}
	return nil, nil
}

// draftKeyUnit adds a unit that sshd's wait for. It is one by itself, since sshd's own
// may begin with a check that fails without keys. A socket may start another unit for
// each connection.
func (e *explorer) draftKeyUnit(keygen string) ([]draft, error) {
	file := draft{why: whyKeys, plain: true, mode: 0o644, dirMode: 0o755, label: "systemd_unit_file_t"}
	unit := file
	unit.path = "/etc/systemd/system/ssh-host-keys.service"
	all, names := []draft{unit}, []string{}
	for _, name := range []string{"ssh.service", "sshd.service", "ssh@.service", "sshd@.service"} {
		if ok, err := e.hasUnit(name); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		link := file
		link.path, link.edit = "/etc/systemd/system/"+name+".d/host-keys.conf", text("[Unit]\nWants=ssh-host-keys.service\nAfter=ssh-host-keys.service\n")
		all, names = append(all, link), append(names, name)
	}
	if len(names) == 0 {
		return nil, nil
	}
	all[0].edit = text("# Copies of the image have no SSH host keys, so each makes its own.\n" +
		"[Unit]\nDescription=SSH host keys\nConditionPathIsReadWrite=/etc/ssh\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=" + keygen + " -A\n")
	return all, nil
}

// hasUnit says whether the image has a unit of systemd of its own under a name, and not
// another one's alias.
func (e *explorer) hasUnit(name string) (bool, error) {
	for _, dir := range []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
		real, err := e.resolve(dir + "/" + name)
		if err != nil {
			return false, err
		}
		if real != "" {
			return path.Base(real) == name, nil
		}
	}
	return false, nil
}

// text is the edit of a file that is made.
func text(content string) func(string) string { return func(string) string { return content } }

// draftKeyDefault adds a line to the settings that Debian's script for sshd executes, and
// its invoke-run for runit.
func (e *explorer) draftKeyDefault(keygen string) ([]draft, error) {
	script, err := e.text("/etc/init.d/ssh")
	if err != nil || !strings.Contains(script, ". "+keySettings) {
		return nil, err
	}
	return []draft{{
		path: keySettings, why: whyKeys, plain: true, mode: 0o644, dirMode: 0o755, label: "etc_t",
		edit: func(old string) string {
			return ended(old) + "\n# Copies of the image have no host keys, so each makes its own.\n[ -e /etc/ssh/ssh_host_ed25519_key ] || " + keygen + " -A || :\n"
		},
	}}, nil
}
