package survey

import (
	"slices"
	"strings"

	"cloudlets/images"
)

// keyMakers are the directories that may contain a service which makes the SSH
// host keys at the first start, or settings of one.
var keyMakers = []string{"/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system", "/etc/init.d", "/etc/default"}

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
	for _, dir := range keyMakers {
		names, err := images.Glob(e.tree, dir+"/*ssh*")
		if err != nil {
			return "", err
		}
		inner, err := images.Glob(e.tree, dir+"/*ssh*.d/*")
		if err != nil {
			return "", err
		}
		for _, name := range slices.Concat(names, inner) {
			text, err := e.text(name)
			if err != nil {
				return "", err
			}
			if strings.Contains(text, "ssh-keygen") || strings.Contains(text, "sshd-keygen") {
				return name, nil
			}
		}
	}
	return "", nil
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

// draftKeyUnit adds a unit that sshd's waits for. It is one by itself, since sshd's own
// may begin with a check that fails without keys.
func (e *explorer) draftKeyUnit(keygen string) ([]draft, error) {
	for _, name := range []string{"ssh.service", "sshd.service"} {
		for _, dir := range []string{"/usr/lib/systemd/system", "/lib/systemd/system", "/etc/systemd/system"} {
			entry, ok, err := e.entry(dir + "/" + name)
			if err != nil {
				return nil, err
			}
			if !ok || entry.Type != images.Regular {
				continue
			}
			file := draft{why: whyKeys, plain: true, mode: 0o644, dirMode: 0o755, label: "systemd_unit_file_t"}
			unit, link := file, file
			unit.path, unit.edit = "/etc/systemd/system/ssh-host-keys.service", text("# Copies of the image have no SSH host keys, so each makes its own.\n"+
				"[Unit]\nDescription=SSH host keys\nBefore="+name+"\nConditionPathIsReadWrite=/etc/ssh\n\n[Service]\nType=oneshot\nExecStart="+keygen+" -A\n")
			link.path, link.edit = "/etc/systemd/system/"+name+".d/host-keys.conf", text("[Unit]\nWants=ssh-host-keys.service\nAfter=ssh-host-keys.service\n")
			return []draft{unit, link}, nil
		}
	}
	return nil, nil
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
			return ended(old) + "\n# Copies of the image have no host keys, so each makes its own.\n[ -e /etc/ssh/ssh_host_ed25519_key ] || " + keygen + " -A\n"
		},
	}}, nil
}
