//go:build linux

package dirtree

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// xattrReader asks for the extended attributes of one file: for the list of
// their names, each with a zero at its end, and for the value of one. Both
// tell the size of what they would read when the buffer is empty.
type xattrReader struct {
	list func(buf []byte) (int, error)
	get  func(name string, buf []byte) (int, error)
}

// xattrsOf reads the extended attributes of an open file.
func xattrsOf(f descriptor) (map[string]string, error) {
	if n, err := unix.Flistxattr(int(f), nil); n == 0 && err == nil {
		return nil, nil // as nearly every file
	}
	return xattrReader{
		list: func(buf []byte) (int, error) { return unix.Flistxattr(int(f), buf) },
		get:  func(name string, buf []byte) (int, error) { return unix.Fgetxattr(int(f), name, buf) },
	}.read()
}

// xattrsAt reads the extended attributes of what is called name in a
// directory. There is no system call for it that takes a directory on all
// kernels, so the path leads through the open directory's place in /proc.
func xattrsAt(dir descriptor, name string) (map[string]string, error) {
	at := "/proc/self/fd/" + strconv.Itoa(int(dir)) + "/" + name
	if n, err := unix.Llistxattr(at, nil); n == 0 && err == nil {
		return nil, nil
	}
	return xattrReader{
		list: func(buf []byte) (int, error) { return unix.Llistxattr(at, buf) },
		get:  func(name string, buf []byte) (int, error) { return unix.Lgetxattr(at, name, buf) },
	}.read()
}

func (x xattrReader) read() (map[string]string, error) {
	list, err := whole(x.list)
	if errors.Is(err, unix.ENOTSUP) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list its extended attributes: %w", err)
	}
	xattrs := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		value, err := whole(func(buf []byte) (int, error) { return x.get(name, buf) })
		if errors.Is(err, unix.ENODATA) {
			continue // one that only its owner may read
		}
		if err != nil {
			return nil, fmt.Errorf("read its extended attribute %s: %w", name, err)
		}
		xattrs[name] = string(value)
	}
	return xattrs, nil
}

// whole asks for a size, then for as much, and again if it grew meanwhile.
func whole(read func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := read(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		buf := make([]byte, n)
		if n, err = read(buf); err == nil {
			return buf[:n], nil
		}
		if !errors.Is(err, unix.ERANGE) {
			return nil, err
		}
	}
}
