//go:build unix && !linux

package dirtree

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// nameable says whether the host can have a file of that path.
func nameable(string) bool { return true }

// describe adds what the host tells of owner, mode and device.
func describe(e *images.Entry, _ *os.Root, info fs.FileInfo) (inode, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return inode{}, fs.ErrInvalid
	}
	e.Mode, e.UID, e.GID = uint32(st.Mode)&0o7777, st.Uid, st.Gid
	if e.Type == images.CharDevice || e.Type == images.BlockDevice {
		e.Major, e.Minor = unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	}
	return inode{uint64(st.Dev), uint64(st.Ino), uint64(st.Nlink)}, nil
}
