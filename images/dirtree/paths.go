//go:build linux

package dirtree

import (
	"context"

	"golang.org/x/sys/unix"
)

// Paths hands on the path of each file in the directory, sorted by their
// bytes. It lists directories and looks at nothing in them.
func (d *Dir) Paths(ctx context.Context, yield func(path string) error) error {
	root, err := d.openRoot()
	if err != nil {
		return err
	}
	w := &pathWalk{source: d, yield: yield}
	if err := yield("/"); err != nil {
		root.Close()
		return err
	}
	return w.directory(ctx, root, "/")
}

// pathWalk is one listing of all paths.
type pathWalk struct {
	source *Dir
	yield  func(string) error
	dirs   dirReader
}

// directory lists an open directory and all beneath it, and closes it.
//
// What is in "/a" comes as "/a/", after "/a-b" and before "/a0": so a
// directory waits until what follows it is greater than that. Of several that
// wait the last is the least.
func (w *pathWalk) directory(ctx context.Context, dir descriptor, p string) error {
	defer dir.Close()
	if err := ctx.Err(); err != nil {
		return err
	}
	children, err := w.dirs.read(dir, p)
	if err != nil {
		return w.source.fail("list", p, err)
	}
	var waiting []string
	for _, c := range children {
		for len(waiting) > 0 && waiting[len(waiting)-1]+"/" < c.path {
			if waiting, err = w.last(ctx, dir, waiting); err != nil {
				return err
			}
		}
		if err := w.yield(c.path); err != nil {
			return err
		}
		if c.kind == unix.DT_DIR {
			waiting = append(waiting, c.path)
		}
	}
	for len(waiting) > 0 {
		if waiting, err = w.last(ctx, dir, waiting); err != nil {
			return err
		}
	}
	return nil
}

// last lists the last of the directories that wait, and takes it off.
func (w *pathWalk) last(ctx context.Context, dir descriptor, waiting []string) ([]string, error) {
	end := len(waiting) - 1
	p := waiting[end]
	inner, err := openAt(dir, baseName(p), directoryFlags)
	if err != nil {
		return nil, w.source.fail("list", p, vanished(err))
	}
	return waiting[:end], w.directory(ctx, inner, p)
}
