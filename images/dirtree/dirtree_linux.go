package dirtree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// openRoot opens the directory itself.
func (d *Dir) openRoot() (descriptor, error) {
	f, err := openAt(unix.AT_FDCWD, d.root, unix.O_DIRECTORY)
	if err != nil {
		return -1, fmt.Errorf("open image %s: %w", d.root, err)
	}
	return f, nil
}

// parent opens the directory that holds a path; name is the path's last part.
func (d *Dir) parent(p string) (dir descriptor, name string, err error) {
	p = images.CleanPath(p)
	if images.IsBookkeeping(p) {
		return -1, "", fs.ErrNotExist
	}
	if dir, err = d.openRoot(); err != nil {
		return -1, "", err
	}
	parts := strings.Split(strings.TrimPrefix(p, "/"), "/")
	for _, part := range parts[:len(parts)-1] {
		inner, err := openAt(dir, part, directoryFlags)
		dir.Close()
		if err != nil {
			return -1, "", absent(err)
		}
		dir = inner
	}
	return dir, baseName(p), nil
}

// absent turns the error of a path that leads through a file into "does not
// exist".
func absent(err error) error {
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return fs.ErrNotExist
	}
	return err
}

// Entry tells what is at a path.
func (d *Dir) Entry(p string) (images.Entry, error) {
	dir, name, err := d.parent(p)
	if err != nil {
		return images.Entry{}, d.fail("look at", p, err)
	}
	defer dir.Close()
	e, _, err := entryAt(dir, name, images.CleanPath(p))
	if err != nil {
		return images.Entry{}, d.fail("look at", p, err)
	}
	return e, nil
}

// ReadDir lists a directory, sorted by name. Sockets are not listed.
func (d *Dir) ReadDir(p string) ([]images.Entry, error) {
	dir, err := d.open(p, directoryFlags)
	if err != nil {
		return nil, d.fail("list", p, err)
	}
	defer dir.Close()
	children, err := new(dirReader).read(dir, images.CleanPath(p))
	if err != nil {
		return nil, d.fail("list", p, err)
	}
	var entries []images.Entry
	for _, c := range children {
		e, _, err := entryAt(dir, baseName(c.path), c.path)
		if errors.Is(err, errSocket) {
			continue
		}
		if err != nil {
			return nil, d.fail("look at", c.path, err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Open reads the regular file at a path.
func (d *Dir) Open(p string) (io.ReadCloser, error) {
	e, err := d.Entry(p)
	if err != nil {
		return nil, err
	}
	if e.Type != images.Regular {
		return nil, d.fail("open", p, errors.New("it is not a regular file"))
	}
	f, err := d.open(p, fileFlags)
	if err != nil {
		return nil, d.fail("open", p, err)
	}
	return os.NewFile(uintptr(f), path.Join(d.root, p)), nil
}

func (d *Dir) open(p string, flags int) (descriptor, error) {
	dir, name, err := d.parent(p)
	if err != nil {
		return -1, err
	}
	defer dir.Close()
	f, err := openAt(dir, name, flags)
	return f, absent(err)
}

// entryAt looks at what is called name in a directory, and follows no link.
func entryAt(dir descriptor, name, p string) (images.Entry, inode, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return images.Entry{}, inode{}, absent(err)
	}
	e, err := newEntry(p, &st)
	if err == nil && e.Type == images.Symlink {
		e.Link, err = readLink(dir, name)
	}
	if err == nil {
		e.Xattrs, err = xattrsAt(dir, name)
	}
	return e, inodeOf(&st), err
}

// newEntry is what the kernel tells of a file, without a link's target and
// without extended attributes.
func newEntry(p string, st *unix.Stat_t) (images.Entry, error) {
	e := images.Entry{
		Path: p, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		ModTime: time.Unix(st.Mtim.Unix()).UTC(),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type, e.Size = images.Regular, st.Size
	case unix.S_IFDIR:
		e.Type = images.Directory
	case unix.S_IFLNK:
		e.Type = images.Symlink
	case unix.S_IFCHR:
		e.Type, e.Major, e.Minor = images.CharDevice, unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	case unix.S_IFBLK:
		e.Type, e.Major, e.Minor = images.BlockDevice, unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	case unix.S_IFIFO:
		e.Type = images.FIFO
	default:
		return images.Entry{}, errSocket
	}
	return e, nil
}

func readLink(dir descriptor, name string) (string, error) {
	for size := 128; ; size *= 8 {
		buf := make([]byte, size)
		n, err := unix.Readlinkat(int(dir), name, buf)
		if err != nil || n < size {
			return string(buf[:max(n, 0)]), err
		}
	}
}
