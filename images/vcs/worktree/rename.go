//go:build unix

package worktree

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images/rootfs"
	"cloudlets/images/vcs"
)

// renamer gives files of an image names that the tool can keep, and restores
// their own names.
type renamer struct {
	dir   string
	state *state
}

// depth orders paths from the root down. Within a directory shorter names come
// first: an escaped name is longer than the original, so the new name is free
// when it is needed.
func depth(a, b string) int {
	return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// hide renames files, which are given by their own paths. It first records what
// it will do.
func (r *renamer) hide(own []string) error {
	if len(own) == 0 {
		return nil
	}
	slices.SortFunc(own, depth)
	if err := r.state.setNames(own); err != nil {
		return err
	}
	// Rename the deepest files first, so that the directories above still have
	// their own names.
	return r.each(slices.Backward(own), func(name string) (string, string) { return name, vcs.Escape(name) })
}

// show restores the names of the given files and of those that were recorded.
// Files that already have their own name are left alone.
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
	err = r.each(slices.All(own), func(name string) (string, string) { return vcs.Escape(name), name })
	if errors.Is(err, unix.EEXIST) {
		err = fmt.Errorf("%w; keep one of the two files and remove the other by hand", err)
	}
	if err != nil {
		return err
	}
	return r.state.remove(namesFile)
}

// each renames files one after another, each within its directory.
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

// rename renames a file in the directory of p and keeps the directory's time. A
// missing file is not an error.
func rename(dirs *rootfs.Dirs, p, from, to string) error {
	// Open the directory anew each time, because the names on the way may have
	// changed.
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

// yield removes a device or FIFO if the tool has put a file of the repository
// in its place. Any other file is kept, since it may be valuable.
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
