//go:build unix && !linux

package rootfs

import "golang.org/x/sys/unix"

// place identifies a filesystem. A file can be renamed from one directory to
// another only if both have the same place.
type place struct{ device uint64 }

// placeOf returns the place of the file called name in a directory. If name is
// empty, it returns the place of the directory itself. It does not follow a
// symbolic link.
func placeOf(dir int, name string) (place, error) {
	var st unix.Stat_t
	err := unix.Fstat(dir, &st)
	if name != "" {
		err = unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	}
	return place{uint64(st.Dev)}, err
}
