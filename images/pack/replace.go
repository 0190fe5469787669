//go:build linux

package pack

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// makeRoom removes existing files at the paths of the pack's files, so that
// these are made anew. Writing into an existing file would change all its hard
// links, and a symbolic link would lead elsewhere. If a directory is at the
// path of a file, it is not removed.
func (x *extractor) makeRoom(ctx context.Context) error {
	if !x.opt.Replace {
		return nil
	}
	dirs := x.root.Dirs()
	defer dirs.Close()
	for i := range x.toc.entries {
		e := &x.toc.entries[i]
		if e.Type == images.Directory {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := dirs.Remove(e.Path); err != nil && !errors.Is(err, unix.ENOENT) {
			return failure(x.root, x.toc, "replace", e.Path, err)
		}
	}
	return nil
}
