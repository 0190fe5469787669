//go:build linux

package pack

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// makeRoom takes away what is in the place of a file of the pack, so that
// the file is made anew: writing into one that is there would change all of
// its hard links, and a symbolic link would lead elsewhere. A directory in
// the place of a file is not taken away.
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
