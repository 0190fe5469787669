package rootfs

import "golang.org/x/sys/unix"

// place is what must be the same for a file to be renamed from one directory
// to another: the filesystem, and the mount that shows it.
type place struct {
	major, minor uint32
	mount        uint64 // 0 where the kernel is too old to tell
}

// placeOf tells where the file called name in a directory is, or with an
// empty name the directory itself. It follows no link.
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
