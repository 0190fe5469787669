package worktree

import "golang.org/x/sys/unix"

// renameNew renames a file in a directory to an unused name.
func renameNew(dir int, from, to string) error {
	return unix.RenameatxNp(dir, from, dir, to, unix.RENAME_EXCL)
}
