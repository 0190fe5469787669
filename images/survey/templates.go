package survey

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"time"

	"cloudlets/images"
)

// Template is a file that usually differs from copy to copy, made a template. A
// copy about which nothing is known gets what the image had.
type Template struct {
	// Path is its path for the manifest.
	Path string
	// Dirs are the directories that must be made for it, the outermost first.
	Dirs []images.Entry
	// File is the template. Its path is where the links of Path lead. If the image
	// has the file, its owner, mode, time and extended attributes are those of
	// File.
	File images.File
}

// draft describes a template to be made.
type draft struct {
	path, why string
	edit      func(old string) string // makes the template of a file's content, "" if there is none
	plain     bool                    // what it makes is no template
	mode      uint32                  // of a new file
	dirMode   uint32                  // of new directories
	uid, gid  uint32                  // of new files and directories
	label     string                  // their type for SELinux
}

// templates makes the usual templates.
func (e *explorer) templates() error {
	if maker, err := e.declared(); err != nil || maker != "" {
		e.addReason("templates", "left out: %s makes the files of /etc from its own configuration", maker)
		return err
	}
	for _, look := range []func() error{e.hostname, e.hosts, e.sshKeys} {
		if err := look(); err != nil {
			return err
		}
	}
	for _, d := range e.keyFiles {
		if err := e.draft(d); err != nil {
			return err
		}
	}
	return nil
}

// declared names a distribution that makes its configuration files itself, or
// returns "".
func (e *explorer) declared() (string, error) {
	if e.found.Distribution.Family == NixOS {
		return "NixOS", nil
	}
	if ok, err := e.exists("/gnu/store"); err != nil || !ok {
		return "", err
	}
	return "Guix", nil
}

// hostname makes templates of the files from which the image's init takes the
// name of the machine. OpenRC's /etc/conf.d/hostname counts if there is no
// /etc/hostname, and in old versions also if there is.
func (e *explorer) hostname() error {
	own := draft{path: "/etc/hostname", why: "each copy has its own name, from env.hostname", edit: hostnameFile, mode: 0o644, dirMode: 0o755, label: "hostname_etc_t"}
	openRC := own
	openRC.path, openRC.edit = "/etc/conf.d/hostname", confHostname
	drafts := []draft{own}
	switch e.found.Init.System {
	case OpenRC:
		drafts = []draft{own, openRC}
	case BusyboxInit, OtherSystem, NoInitSystem:
		if e.handmade() {
			return e.draftExisting(own)
		}
	}
	made := 0
	for _, d := range drafts {
		ok, err := e.exists(d.path)
		if err == nil && ok {
			made++
			err = e.draft(d)
		}
		if err != nil {
			return err
		}
	}
	if made > 0 {
		return nil
	}
	return e.draft(drafts[len(drafts)-1])
}

func (e *explorer) hosts() error {
	d := draft{path: "/etc/hosts", why: "127.0.1.1 is each copy's own name, from env.hostname", edit: hostsFile, mode: 0o644, dirMode: 0o755, label: "net_conf_t"}
	if e.handmade() {
		return e.draftExisting(d)
	}
	return e.draft(d)
}

// handmade reports whether the image is of no known distribution, so that only the
// files that it has tell what its programs read.
func (e *explorer) handmade() bool {
	return e.found.Distribution.Family == Busybox || e.found.Distribution.Family == Unknown
}

// draftExisting makes a template of a file that the image has. Of one that it does
// not have, it says why there is none.
func (e *explorer) draftExisting(d draft) error {
	ok, err := e.exists(d.path)
	if err != nil {
		return err
	}
	if !ok && e.opt.Templates {
		e.addReason("templates "+d.path, "left out: it does not exist, and nothing in the image is known to read it")
		return nil
	}
	return e.draft(d)
}

// draft makes a template of a file, which need not exist.
func (e *explorer) draft(d draft) error {
	if ok, err := e.exists(d.path); err != nil || !ok && !e.opt.Templates {
		return err // only files that exist are suggested
	}
	real, missing, err := e.place(d.path)
	switch {
	case err != nil:
		return err
	case real == "":
		e.addReason("templates "+d.path, "left out: it leads nowhere in the image")
		return nil
	case len(missing) == 0:
		return e.draftFile(d, real)
	}
	label, err := e.label(path.Dir(missing[0]), d.label)
	if err != nil {
		return err
	}
	t := Template{Path: d.path}
	for _, p := range missing {
		t.Dirs = append(t.Dirs, images.Entry{
			Path: p, Type: images.Directory, Mode: d.dirMode, UID: d.uid, GID: d.gid, ModTime: time.Unix(0, 0).UTC(), Xattrs: label,
		})
	}
	last := len(t.Dirs) - 1
	t.File.Entry, t.Dirs = t.Dirs[last], t.Dirs[:last]
	t.File.Type, t.File.Mode = images.Regular, d.mode
	e.add(t, d, "")
	return nil
}

// draftFile makes a template of the file at real.
func (e *explorer) draftFile(d draft, real string) error {
	entry, _, err := e.entry(real)
	if err != nil {
		return err
	}
	if entry.Type != images.Regular || entry.Size > maxText {
		e.addReason("templates "+d.path, "left out: it is no text file of at most %d KiB", maxText>>10)
		return nil
	}
	old, err := e.text(real)
	if err != nil {
		return err
	}
	entry.Path = real // of the other names of a file, none becomes a template
	e.add(Template{Path: d.path, File: images.File{Entry: entry}}, d, old)
	return nil
}

const selinux = "security.selinux"

// label is the attribute by which SELinux knows new files of a type in a
// directory, "user:role:type:level" with a final zero byte. If the directory has
// none, the image does without SELinux, or labels its files when it starts.
func (e *explorer) label(dir, kind string) (map[string]string, error) {
	entry, err := e.tree.Entry(dir)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitN(entry.Xattrs[selinux], ":", 4)
	if len(parts) != 4 {
		return nil, nil
	}
	parts[2] = kind
	return map[string]string{selinux: strings.Join(parts, ":")}, nil
}

// add adds a template. A file that has a template's tags is left as it is.
func (e *explorer) add(t Template, d draft, old string) {
	text, why := old, "it is a template already"
	if d.plain || !strings.Contains(old, "<%") {
		text, why = d.edit(old), d.why
	}
	t.File.Content, t.File.Entry.Size = []byte(text), int64(len(text))
	e.found.Templates = append(e.found.Templates, t)
	if !e.opt.Templates {
		e.addReason("templates "+d.path, "suggested, not written: %s; --templates writes it", why)
		return
	}
	e.addReason("templates "+d.path, "%s", why)
	if !d.plain {
		e.found.Render = append(e.found.Render, t.Path)
	}
	if strings.Contains(text, "args.sshKeys") {
		e.found.takesKeys = true
	}
}

// place returns where a file is or would be, and which paths must be made for it,
// the outermost first and the file itself last. real is "" if the way there is a
// link that leads nowhere, or is not a directory.
func (e *explorer) place(p string) (real string, missing []string, err error) {
	if real, err = e.resolve(p); err != nil || real != "" || p == "/" {
		return real, nil, err
	}
	parent, missing, err := e.place(path.Dir(p))
	if err != nil || parent == "" {
		return "", nil, err
	}
	real = path.Join(parent, path.Base(p))
	if len(missing) == 0 {
		if dir, err := e.tree.Entry(parent); err != nil || dir.Type != images.Directory {
			return "", nil, err
		}
		if _, err := e.tree.Entry(real); !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
	}
	return real, append(missing, real), nil
}
