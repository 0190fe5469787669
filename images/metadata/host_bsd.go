//go:build unix && !linux

package metadata

import (
	"os"

	"golang.org/x/sys/unix"
)

// allLimited says that root is no more than an ordinary user: no one here can
// give files all that Linux has, and so files belong to whoever makes them.
const allLimited = true

// xattrsAt finds no extended attributes: those of this host are not Linux's.
func xattrsAt(*os.File, string) (map[string]string, error) { return nil, nil }

// dropXattrs has none to remove.
func (a *applier) dropXattrs(*os.File, string, map[string]string, map[string]string) error {
	return nil
}

// changeMode changes the mode of a regular file or a directory, and follows
// no link.
func changeMode(dir *os.File, name string, mode uint32) error {
	return unix.Fchmodat(int(dir.Fd()), name, mode, unix.AT_SYMLINK_NOFOLLOW)
}
