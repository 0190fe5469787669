//go:build unix && !linux

package trees

import (
	"os"

	"golang.org/x/sys/unix"
)

// allLimited makes root count as an ordinary user. On this system nobody can
// give a file all the metadata that Linux has, so a file's owner is whoever
// makes it.
const allLimited = true

// xattrsAt never finds extended attributes: those of this system are not those
// of Linux.
func xattrsAt(int, string) (map[string]string, error) { return nil, nil }

// dropXattrs does nothing, as there are no extended attributes.
func (a *applier) dropXattrs(*os.File, string, map[string]string, map[string]string) error {
	return nil
}

// changeMode changes the mode of a regular file or a directory. It does not
// follow symbolic links.
func changeMode(dir *os.File, name string, mode uint32) error {
	return unix.Fchmodat(int(dir.Fd()), name, mode, unix.AT_SYMLINK_NOFOLLOW)
}
