//go:build unix && !linux

package rootfs

import "golang.org/x/sys/unix"

// place is what must be the same for a file to be renamed from one directory
// to another: the filesystem.
type place struct{ device uint64 }

// placeOf tells where the file called name in a directory is, or with an
// empty name the directory itself. It follows no link.
func placeOf(dir int, name string) (place, error) {
	var st unix.Stat_t
	err := unix.Fstat(dir, &st)
	if name != "" {
		err = unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	return place{uint64(st.Dev)}, err
}
