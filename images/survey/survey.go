// Package survey looks at a root filesystem and suggests the manifest that
// makes it a cloudlet: what starts it, what it keeps, what it should not
// carry from one machine to another. It reads files and runs none.
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

// Findings is what was seen in a root filesystem, and what follows from it.
type Findings struct {
	// Name is what the image may be called, "debian-12".
	Name         string
	Distribution Distribution
	// Arch is what its programs run on (Debian's name); "" is not known.
	Arch string
	// Kernels are its kernels, the newest first.
	Kernels []boot.Kernel
	Init    Init
	// Shell is the shell to enter it by; "" is none.
	Shell string
	// Persistent, Volatile and Templates suit the image. Templates are
	// suggested only: a file has to be made one first.
	Persistent, Volatile, Templates []string
	// Render are the paths that the manifest names as templates: those that
	// the caller has made some.
	Render []string
	// Reasons say why, in the manifest's order, and what a person should
	// look at.
	Reasons []Reason
}

// Reason is why something was chosen, or what was noticed.
type Reason struct {
	// What is the part of the manifest and the value ("volatile /tmp/.+"),
	// or a file of the image.
	What string `json:"what"`
	// Why is a sentence for a person.
	Why string `json:"why"`
}

// explorer is one survey under way.
type explorer struct {
	tree  images.Tree
	found Findings
}

// Survey looks at a tree. A file that is not there is no error; one that
// cannot be read is.
func Survey(ctx context.Context, t images.Tree) (Findings, error) {
	e := &explorer{tree: t}
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

// because notes a reason.
func (e *explorer) because(what, why string, args ...any) {
	e.found.Reasons = append(e.found.Reasons, Reason{What: what, Why: fmt.Sprintf(why, args...)})
}

// resolve is the path that a path leads to; "" is nowhere.
func (e *explorer) resolve(name string) (string, error) {
	real, err := images.Resolve(e.tree, name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, images.ErrTooManyLinks) {
		return "", nil
	}
	return real, err
}

// entry is what a path leads to; ok is false where that is nothing.
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

// isDir says whether a path is a directory itself, and no link to one.
func (e *explorer) isDir(name string) (bool, error) {
	entry, err := e.tree.Entry(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return entry.Type == images.Directory, err
}

// program says whether a path leads to something that can be executed.
func (e *explorer) program(name string) (bool, error) {
	entry, ok, err := e.entry(name)
	return ok && entry.Type == images.Regular && entry.Mode&0o111 != 0, err
}

// firstProgram is the first of some paths that is a program; "" is none.
func (e *explorer) firstProgram(names ...string) (string, error) {
	for _, name := range names {
		if ok, err := e.program(name); err != nil || ok {
			return name, err
		}
	}
	return "", nil
}

// maxText bounds the small text files that are read, in bytes.
const maxText = 64 << 10

// text reads a small file; "" is one that is not there, or no small file.
func (e *explorer) text(name string) (string, error) {
	entry, ok, err := e.entry(name)
	if err != nil || !ok || entry.Type != images.Regular || entry.Size > maxText {
		return "", err
	}
	data, err := images.ReadFile(e.tree, name, maxText)
	return string(data), err
}

// head reads the first bytes of what a path leads to; nil is no file.
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
