package trees

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allLimited is false: on Linux root can set all metadata.
const allLimited = false

// placeOf returns a path to the file called name in an open directory, for
// system calls that do not accept a directory descriptor.
func placeOf(dir int, name string) string {
	return "/proc/self/fd/" + strconv.Itoa(dir) + "/" + name
}

// xattrsAt returns the extended attributes of the file called name in a
// directory, or nil if it has none.
func xattrsAt(dir int, name string) (map[string]string, error) {
	// Nearly all files have none, so ask for the size first.
	size, err := listXattrs(dir, name, nil)
	if errors.Is(err, unix.ENOTSUP) || err == nil && size == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list extended attributes: %w", err)
	}
	list, err := grow(func(buf []byte) (int, error) { return listXattrs(dir, name, buf) })
	if err != nil {
		return nil, fmt.Errorf("list extended attributes: %w", err)
	}
	if len(list) == 0 {
		return nil, nil // they were removed in between
	}
	at := placeOf(dir, name)
	xattrs := map[string]string{}
	for key := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		value, err := grow(func(buf []byte) (int, error) { return unix.Lgetxattr(at, key, buf) })
		if errors.Is(err, unix.ENODATA) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			continue // only root may read this attribute
		}
		if err != nil {
			return nil, fmt.Errorf("read extended attribute %s: %w", key, err)
		}
		xattrs[key] = string(value)
	}
	return xattrs, nil
}

// listXattrs lists the names of the extended attributes of the file called name
// in a directory. Without a buffer it returns the size of the list. Kernels
// before 6.13 lack listxattrat(2), and a container may forbid it. The way
// around it through /proc takes several times as long. Names on some filesystems are
// longer than NAME_MAX.
func listXattrs(dir int, name string, buf []byte) (int, error) {
	n, err := listxattrat(dir, name, buf)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENAMETOOLONG) {
		return unix.Llistxattr(placeOf(dir, name), buf)
	}
	return n, err
}

func listxattrat(dir int, name string, buf []byte) (int, error) {
	var at [unix.NAME_MAX + 1]byte // a zero ends the name
	if copy(at[:], name) == len(at) {
		return 0, unix.ENAMETOOLONG
	}
	n, _, errno := unix.Syscall6(unix.SYS_LISTXATTRAT, uintptr(dir), uintptr(unsafe.Pointer(&at)), unix.AT_SYMLINK_NOFOLLOW,
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// grow calls read with ever larger buffers until the result fits.
func grow(read func([]byte) (int, error)) ([]byte, error) {
	var small [256]byte
	if n, err := read(small[:]); err == nil {
		return slices.Clone(small[:n]), nil
	} else if !errors.Is(err, unix.ERANGE) {
		return nil, err
	}
	for size := 4096; ; size *= 16 {
		buf := make([]byte, size)
		n, err := read(buf)
		if err == nil || !errors.Is(err, unix.ERANGE) || size > 1<<20 {
			return buf[:max(n, 0)], err
		}
	}
}

// changeMode changes the mode of a regular file or a directory. It does not
// follow symbolic links.
func changeMode(dir *os.File, name string, mode uint32) error {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode)
}

// labels are extended attributes that a security module gives every file by
// itself. It may forbid their removal.
var labels = []string{"security.selinux", "security.ima", "security.evm", "security.SMACK64"}

// dropXattrs removes extended attributes that are not wanted.
func (a *applier) dropXattrs(dir *os.File, name string, have, want map[string]string) error {
	for key := range have {
		if _, ok := want[key]; ok {
			continue
		}
		err := unix.Lremovexattr(placeOf(int(dir.Fd()), name), key)
		if err != nil && !a.limited && !slices.Contains(labels, key) {
			return fmt.Errorf("remove extended attribute %s: %w", key, err)
		}
	}
	return nil
}
