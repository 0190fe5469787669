package rootfs

import "golang.org/x/sys/unix"

// place identifies a filesystem and the mount through which it is seen. A file
// can be renamed from one directory to another only if both have the same
// place.
type place struct {
	major, minor uint32
	mount        uint64 // 0 if the kernel is too old to report it
}

// placeOf returns the place of the file called name in a directory. If name is
// empty, it returns the place of the directory itself. It does not follow a
// symbolic link.
func placeOf(dir int, name string) (place, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var st unix.Statx_t
	if err := unix.Statx(dir, name, flags, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st); err != nil {
		return place{}, err
	}
	p := place{major: st.Dev_major, minor: st.Dev_minor}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		p.mount = st.Mnt_id
	}
	return p, nil
}
