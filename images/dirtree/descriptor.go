//go:build linux

package dirtree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// descriptor is an open file. An os.File would cost more than reading a small
// file does.
type descriptor int

// Flags for [openAt]. They follow no link and do not wait for a FIFO.
const (
	directoryFlags = unix.O_NOFOLLOW | unix.O_DIRECTORY
	fileFlags      = unix.O_NOFOLLOW | unix.O_NONBLOCK
)

// openAt opens what is called name in a directory for reading.
func openAt(dir descriptor, name string, flags int) (descriptor, error) {
	for {
		f, err := unix.Openat(int(dir), name, flags|unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			return descriptor(f), nil
		}
		if err != unix.EINTR {
			return -1, err
		}
	}
}

// Read reads as an [io.Reader] does.
func (f descriptor) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(f), p)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Close closes the file.
func (f descriptor) Close() error { return unix.Close(int(f)) }

// fileID identifies a file by whatever name.
type fileID struct{ dev, ino uint64 }

// inode is a file's identity and how many names it has.
type inode struct {
	fileID
	names uint64
}

func inodeOf(st *unix.Stat_t) inode {
	return inode{fileID{uint64(st.Dev), st.Ino}, uint64(st.Nlink)}
}

// baseName is the last part of a path in the image, as system calls want it.
func baseName(p string) string {
	if name := p[strings.LastIndexByte(p, '/')+1:]; name != "" {
		return name
	}
	return "."
}

// child is one file as its directory lists it.
type child struct {
	path string
	kind uint8 // DT_REG and so on; never DT_UNKNOWN
}

// dirReader lists directories. Its memory is used again for each.
type dirReader struct {
	buf  []byte
	path []byte
}

// read lists the open directory at p in the image, sorted by name, without
// sockets and bookkeeping.
func (r *dirReader) read(dir descriptor, p string) ([]child, error) {
	if r.buf == nil {
		r.buf = make([]byte, 64<<10)
	}
	var list []child
	for {
		n, err := unix.Getdents(int(dir), r.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			break
		}
		if list, err = r.parse(list, dir, p, r.buf[:n]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b child) int { return strings.Compare(a.path, b.path) })
	return list, nil
}

// parse appends what is in a buffer of linux_dirent64: inode and offset of 8
// bytes, the record's length of 2, the kind, the name with a zero at its end.
func (r *dirReader) parse(list []child, dir descriptor, p string, buf []byte) ([]child, error) {
	for len(buf) > 19 {
		size := int(binary.NativeEndian.Uint16(buf[16:]))
		kind, name := buf[18], buf[19:size]
		name = name[:bytes.IndexByte(name, 0)]
		buf = buf[size:]
		if s := string(name); s == "." || s == ".." {
			continue
		}
		c := child{path: r.join(p, name), kind: kind}
		if images.IsBookkeeping(c.path) {
			continue
		}
		if err := c.learn(dir); err != nil {
			return nil, fmt.Errorf("look at %s: %w", c.path, vanished(err))
		}
		if c.kind != unix.DT_SOCK {
			list = append(list, c)
		}
	}
	return list, nil
}

// join is a path of one allocation.
func (r *dirReader) join(p string, name []byte) string {
	r.path = append(r.path[:0], strings.TrimSuffix(p, "/")...)
	r.path = append(append(r.path, '/'), name...)
	return string(r.path)
}

// learn asks for the kind of a file if the filesystem does not list it.
func (c *child) learn(dir descriptor) error {
	if c.kind != unix.DT_UNKNOWN {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir), baseName(c.path), &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	c.kind = uint8(st.Mode & unix.S_IFMT >> 12)
	return nil
}
