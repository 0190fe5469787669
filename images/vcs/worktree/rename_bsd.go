//go:build unix && !linux && !darwin

package worktree

import (
	"errors"

	"golang.org/x/sys/unix"
)

// renameNew renames a file in a directory to an unused name. This system has no
// call that checks and renames at once, so a file that is created under the new
// name in between is lost.
func renameNew(dir int, from, to string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, from, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	err := unix.Fstatat(dir, to, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == nil:
		return unix.EEXIST
	case !errors.Is(err, unix.ENOENT):
		return err
	}
	return unix.Renameat(dir, from, dir, to)
}
