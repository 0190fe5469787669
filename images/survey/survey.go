// Package survey examines a root filesystem and suggests a manifest that makes
// it a cloudlet: what starts it, what it keeps, and what must not travel from
// one machine to another. It reads files and does not run programs.
package survey

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"cloudlets/images"
	"cloudlets/images/boot"
)

// Findings are the facts about a root filesystem and the suggestions that
// follow from them.
type Findings struct {
	// Name is a possible name of the image, e.g. "debian-12".
	Name         string
	Distribution Distribution
	// Arch is the architecture of its programs, with Debian's name. "" means
	// unknown.
	Arch string
	// Kernels are its kernels, the newest first.
	Kernels []boot.Kernel
	Init    Init
	// Shell is the shell with which to enter the image, or "" if there is none.
	Shell string
	// Persistent and Volatile are suitable paths and patterns.
	Persistent, Volatile []string
	// Templates are the usual templates, and other files that copies need. The caller
	// writes them, or leaves it.
	Templates []Template
	// Render are the paths that the manifest lists as templates: those of
	// Templates with tags, if [Options] asks for them. The caller may add files that are
	// templates already.
	Render []string
	// Reasons explain the choices, in the order of the manifest, and name what
	// a person should look at.
	Reasons []Reason

	takesKeys bool // a template prints args.sshKeys
}

// Options are the wishes of a caller.
type Options struct {
	// Templates says that the caller writes the usual templates, so that the
	// manifest lists them. Otherwise they are only suggested.
	Templates bool
	// Owners says that the caller can make files that belong to any user.
	Owners bool
}

// Reason explains one choice or one observation.
type Reason struct {
	// What is the part of the manifest and its value (e.g. "volatile /tmp/.+"),
	// or a file of the image.
	What string `json:"what"`
	// Why is a sentence for a person.
	Why string `json:"why"`
}

// explorer is the state of one survey.
type explorer struct {
	tree  images.Tree
	opt   Options
	found Findings
	// keyFiles have a copy make its SSH host keys, if nothing in the image does.
	keyFiles []draft
}

// Survey examines a tree. A missing file is not an error, but an unreadable one
// is.
func Survey(ctx context.Context, t images.Tree, o Options) (Findings, error) {
	e := &explorer{tree: t, opt: o}
	for _, look := range []func() error{
		e.distribution, e.arch, e.kernels, e.init, e.shell, e.persistent, e.volatile, e.templates, e.notices,
	} {
		if err := ctx.Err(); err != nil {
			return Findings{}, err
		}
		if err := look(); err != nil {
			return Findings{}, fmt.Errorf("survey the image: %w", err)
		}
	}
	return e.found, nil
}

// addReason adds a reason.
func (e *explorer) addReason(what, why string, args ...any) {
	e.found.Reasons = append(e.found.Reasons, Reason{What: what, Why: fmt.Sprintf(why, args...)})
}

// resolve follows the links of a path. It returns "" if the path leads nowhere.
func (e *explorer) resolve(name string) (string, error) {
	real, err := images.Resolve(e.tree, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, images.ErrTooManyLinks) {
		return "", nil
	}
	return real, err
}

// entry returns the file to which a path leads. ok is false if there is none.
func (e *explorer) entry(name string) (entry images.Entry, ok bool, err error) {
	real, err := e.resolve(name)
	if err != nil || real == "" {
		return images.Entry{}, false, err
	}
	entry, err = e.tree.Entry(real)
	if err == nil && entry.Type == images.HardLink {
		entry, err = e.tree.Entry(entry.Link)
	}
	return entry, err == nil, err
}

func (e *explorer) exists(name string) (bool, error) {
	real, err := e.resolve(name)
	return real != "", err
}

// isDir reports whether a path is itself a directory, and not a link to one.
func (e *explorer) isDir(name string) (bool, error) {
	entry, err := e.tree.Entry(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return entry.Type == images.Directory, err
}

// program reports whether a path leads to an executable file.
func (e *explorer) program(name string) (bool, error) {
	entry, ok, err := e.entry(name)
	return ok && entry.Type == images.Regular && entry.Mode&0o111 != 0, err
}

// firstProgram returns the first of some paths that is a program, or "".
func (e *explorer) firstProgram(names ...string) (string, error) {
	for _, name := range names {
		if ok, err := e.program(name); err != nil || ok {
			return name, err
		}
	}
	return "", nil
}

// maxText is the maximum size of the text files to read, in bytes.
const maxText = 64 << 10

// text returns the content of a small file. It returns "" if the file does not
// exist or is not a small file.
func (e *explorer) text(name string) (string, error) {
	entry, ok, err := e.entry(name)
	if err != nil || !ok || entry.Type != images.Regular || entry.Size > maxText {
		return "", err
	}
	data, err := images.ReadFile(e.tree, name, maxText)
	return string(data), err
}

// head returns the first bytes of the file to which a path leads, or nil if
// there is no file.
func (e *explorer) head(name string, size int64) ([]byte, error) {
	entry, ok, err := e.entry(name)
	if err != nil || !ok || entry.Type != images.Regular {
		return nil, err
	}
	r, err := e.tree.Open(entry.Path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, size))
	return data, errors.Join(err, r.Close())
}
