// Package distros lays out the small cloudlet's kernel, initrd and busybox as
// distributions lay out theirs: the same names, links and directories, with what
// an installed system leaves behind. Its systems boot: whatever their init is
// called, it is busybox, and says "NAME is up" on the console.
package distros

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Layout is how a distribution arranges its files.
type Layout struct {
	// Name is the distribution's, as in "debian".
	Name string
	// lines has a line for each file: "/dir/", "/link -> target", "/file = text",
	// "/program ! script", or "/file @ part" for a part of the small cloudlet:
	// kernel, initrd, modules (a directory) or busybox. {K} is the version of its
	// kernel.
	lines []string
}

// Make writes the layout to an empty directory. Small is a directory with the
// small cloudlet's files.
func (l Layout) Make(small, dir string) error {
	m, err := newMaker(small, dir)
	if err != nil {
		return fmt.Errorf("lay out %s: %w", l.Name, err)
	}
	for _, line := range append(slices.Clone(l.lines), l.console()...) {
		if err := m.put(strings.ReplaceAll(line, "{K}", m.version)); err != nil {
			return fmt.Errorf("lay out %s: %w", l.Name, err)
		}
	}
	return nil
}

// console lists the files by which busybox's init says that the system is up.
func (l Layout) console() []string {
	return []string{
		"/etc/inittab = ::sysinit:/etc/rc.small\n",
		"/etc/rc.small ! mount -t proc proc /proc; mount -t devtmpfs dev /dev 2>/dev/null\necho \"" + l.Name + " is up with $(cat /proc/cmdline)\" >/dev/console\npoweroff -f\n",
		"/usr/libexec/small/busybox @ busybox",
		"/proc/", "/sys/", "/dev/", "/run/", "/tmp/",
	}
}

// maker writes the files of a layout.
type maker struct{ small, dir, version string }

func newMaker(small, dir string) (maker, error) {
	found, err := filepath.Glob(filepath.Join(small, "boot", "vmlinuz-*"))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("%s has %d kernels, want one", small, len(found))
	}
	if err != nil {
		return maker{}, err
	}
	return maker{small, dir, strings.TrimPrefix(filepath.Base(found[0]), "vmlinuz-")}, nil
}

func (m maker) put(line string) error {
	if name, ok := strings.CutSuffix(line, "/"); ok && !strings.Contains(name, " ") {
		return os.MkdirAll(filepath.Join(m.dir, name), 0o755)
	}
	name, rest, _ := strings.Cut(line, " ")
	kind, content, _ := strings.Cut(rest, " ")
	file := filepath.Join(m.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	switch kind {
	case "->":
		return os.Symlink(content, file)
	case "=":
		return os.WriteFile(file, []byte(content), 0o644)
	case "!":
		return os.WriteFile(file, []byte("#!/bin/sh\n"+content), 0o755)
	case "@":
		return m.part(content, file)
	}
	return fmt.Errorf("%q is no line of a layout", line)
}

// part copies a part of the small cloudlet.
func (m maker) part(name, to string) error {
	switch name {
	case "kernel":
		return copyFile(filepath.Join(m.small, "boot", "vmlinuz-"+m.version), to, 0o644)
	case "initrd":
		return copyFile(filepath.Join(m.small, "boot", "initrd.img-"+m.version), to, 0o600)
	case "busybox":
		return copyFile(filepath.Join(m.small, "bin", "busybox"), to, 0o755)
	case "modules":
		return os.CopyFS(to, os.DirFS(filepath.Join(m.small, "lib", "modules", m.version)))
	}
	return errors.Join(fmt.Errorf("the small cloudlet has no part %q", name), fs.ErrNotExist)
}

func copyFile(from, to string, mode os.FileMode) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, mode)
}
