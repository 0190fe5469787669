//go:build unix

package vcs

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images/rootfs"
)

// renamer gives files of an image the names that the tool can have, and their
// own again.
type renamer struct {
	dir   string
	state *state
}

// depth orders paths from the root down, and in a directory short names
// first: another name is longer, so that it is free when it is wanted.
func depth(a, b string) int {
	return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// hide renames files, given by their own paths. What it will do is written
// down before.
func (r *renamer) hide(own []string) error {
	if len(own) == 0 {
		return nil
	}
	slices.SortFunc(own, depth)
	if err := r.state.setNames(own); err != nil {
		return err
	}
	// From the leaves up: the directories above still have their own names.
	return r.each(slices.Backward(own), func(name string) (string, string) { return name, escape(name) })
}

// show gives files their own names again: those given, and those that were
// written down. Those that have them are left.
func (r *renamer) show(own []string) error {
	before, err := r.state.names()
	if err != nil {
		return err
	}
	own = slices.Concat(own, before)
	slices.SortFunc(own, depth)
	own = slices.Compact(own)
	if len(own) == 0 {
		return nil
	}
	err = r.each(slices.All(own), func(name string) (string, string) { return escape(name), name })
	if errors.Is(err, unix.EEXIST) {
		err = fmt.Errorf("%w; decide between the two by hand", err)
	}
	if err != nil {
		return err
	}
	return r.state.remove(namesFile)
}

// each renames one file after the other, in their directories.
func (r *renamer) each(own func(func(int, string) bool), names func(string) (from, to string)) error {
	root, err := rootfs.Open(r.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	dirs := root.Dirs()
	defer dirs.Close()
	for _, p := range own {
		from, to := names(path.Base(p))
		if err := rename(dirs, p, from, to); err != nil {
			return fmt.Errorf("rename %s to %s in %s of %s: %w", from, to, path.Dir(p), r.dir, err)
		}
	}
	return nil
}

// rename renames a file in the directory of p, whose time stays. A file that
// is not there is no error.
func rename(dirs *rootfs.Dirs, p, from, to string) error {
	// Another file is opened each time: the names on the way may have changed.
	dirs.Close()
	dir, _, err := dirs.Parent(p)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil
	}
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return err
	}
	switch err = renameNew(dir, from, to); {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EEXIST):
		return yield(dir, from, err)
	case err != nil:
		return err
	}
	times := []unix.Timespec{{Nsec: rootfs.OmitTime}, st.Mtim}
	if err := unix.UtimesNanoAt(dir, ".", times, 0); err != nil && !errors.Is(err, unix.EPERM) {
		return err
	}
	return nil
}

// yield removes a device that the tool has put a file of the repository in the
// place of. Anything else is too good to lose.
func yield(dir int, name string, taken error) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO:
		return unix.Unlinkat(dir, name, 0)
	}
	return taken
}
