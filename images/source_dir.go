package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DirSource is a directory as a [Source] and a [Tree]. It opens each file by
// way of its parent directory and follows no links, so that nothing outside
// of the directory is ever read. As a tree it shows each name of a hard
// link as a regular file.
type DirSource struct {
	root string
}

var (
	_ Source = (*DirSource)(nil)
	_ Tree   = (*DirSource)(nil)
)

// NewDirSource is the directory at root.
func NewDirSource(root string) (*DirSource, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open image %s: it is not a directory", root)
	}
	return &DirSource{root: root}, nil
}

// openRoot opens the directory itself.
func (d *DirSource) openRoot() (*os.File, error) {
	f, err := os.OpenFile(d.root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	return f, nil
}

// openAt opens what is called name in a directory, which must be no link.
func openAt(dir *os.File, name string, flags int) (*os.File, error) {
	for {
		fd, err := unix.Openat(int(dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == nil {
			return os.NewFile(uintptr(fd), name), nil
		}
		if err != unix.EINTR {
			return nil, err
		}
	}
}

// parent opens the directory that holds a path; name is the path's last part.
func (d *DirSource) parent(p string) (dir *os.File, name string, err error) {
	parts := strings.Split(strings.TrimPrefix(inside(p), "/"), "/")
	if dir, err = d.openRoot(); err != nil {
		return nil, "", err
	}
	for _, part := range parts[:len(parts)-1] {
		inner, err := openAt(dir, part, unix.O_RDONLY|unix.O_DIRECTORY)
		dir.Close()
		if err != nil {
			return nil, "", absent(err)
		}
		dir = inner
	}
	if name = parts[len(parts)-1]; name == "" {
		name = "."
	}
	return dir, name, nil
}

// absent says "does not exist" where a part of the path is no directory.
func absent(err error) error {
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return fs.ErrNotExist
	}
	return err
}

// Entry tells what is at a path.
func (d *DirSource) Entry(p string) (Entry, error) {
	dir, name, err := d.parent(p)
	if err != nil {
		return Entry{}, d.fail("look at", p, err)
	}
	defer dir.Close()
	e, _, err := entryAt(dir, name, inside(p))
	if err != nil {
		return Entry{}, d.fail("look at", p, err)
	}
	return e, nil
}

// ReadDir lists a directory, sorted by name. Sockets are not listed.
func (d *DirSource) ReadDir(p string) ([]Entry, error) {
	dir, err := d.open(p, unix.O_DIRECTORY)
	if err != nil {
		return nil, d.fail("list", p, err)
	}
	defer dir.Close()
	names, err := sortedNames(dir)
	if err != nil {
		return nil, d.fail("list", p, err)
	}
	var entries []Entry
	for _, name := range names {
		e, _, err := entryAt(dir, name, path.Join(inside(p), name))
		if errors.Is(err, errSocket) {
			continue
		}
		if err != nil {
			return nil, d.fail("look at", path.Join(p, name), err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// Open reads the regular file at a path.
func (d *DirSource) Open(p string) (io.ReadCloser, error) {
	e, err := d.Entry(p)
	if err != nil {
		return nil, err
	}
	if e.Type != Regular {
		return nil, d.fail("open", p, errors.New("it is not a regular file"))
	}
	f, err := d.open(p, unix.O_NONBLOCK)
	if err != nil {
		return nil, d.fail("open", p, err)
	}
	return f, nil
}

func (d *DirSource) open(p string, flags int) (*os.File, error) {
	dir, name, err := d.parent(p)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := openAt(dir, name, unix.O_RDONLY|flags)
	return f, absent(err)
}

func (d *DirSource) fail(what, p string, err error) error {
	return fmt.Errorf("%s %s of image %s: %w", what, p, d.root, err)
}

// Walk visits the directory depth first, names sorted by their bytes.
func (d *DirSource) Walk(ctx context.Context, visit VisitFunc) error {
	root, err := d.openRoot()
	if err != nil {
		return err
	}
	w := &dirWalk{source: d, visit: visit, links: map[inode]string{}}
	e, _, err := entryAt(root, ".", "/")
	if err != nil {
		root.Close()
		return d.fail("look at", "/", err)
	}
	return w.directory(ctx, root, e)
}

// inode identifies a file by whatever name.
type inode struct{ dev, ino uint64 }

// dirWalk is one walk; links holds the first name of each file that has
// several.
type dirWalk struct {
	source *DirSource
	visit  VisitFunc
	links  map[inode]string
}

// directory visits an open directory and all that is in it, and closes it.
func (w *dirWalk) directory(ctx context.Context, dir *os.File, e Entry) error {
	defer dir.Close()
	if err := w.visit(e, nil); err != nil {
		return err
	}
	names, err := sortedNames(dir)
	if err != nil {
		return w.source.fail("list", e.Path, err)
	}
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.child(ctx, dir, name, path.Join(e.Path, name)); err != nil {
			return err
		}
	}
	return nil
}

func (w *dirWalk) child(ctx context.Context, dir *os.File, name, p string) error {
	e, st, err := entryAt(dir, name, p)
	if errors.Is(err, errSocket) {
		return nil
	}
	if err != nil {
		return w.source.fail("look at", p, err)
	}
	if e.Type == Directory {
		inner, err := openAt(dir, name, unix.O_RDONLY|unix.O_DIRECTORY)
		if err != nil {
			return w.source.fail("open", p, err)
		}
		return w.directory(ctx, inner, e)
	}
	if st.Nlink > 1 {
		id := inode{uint64(st.Dev), st.Ino}
		if first, ok := w.links[id]; ok {
			e.Type, e.Link, e.Size, e.Xattrs = HardLink, first, 0, nil
			return w.visit(e, nil)
		}
		w.links[id] = p
	}
	if e.Type != Regular {
		return w.visit(e, nil)
	}
	return w.regular(dir, name, e)
}

func (w *dirWalk) regular(dir *os.File, name string, e Entry) error {
	f, err := openAt(dir, name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return w.source.fail("open", e.Path, err)
	}
	defer f.Close()
	return w.visit(e, &exactReader{r: f, left: e.Size, name: e.Path})
}

// exactReader reads as many bytes as the file had when it was looked at:
// whoever gets them was told that number.
type exactReader struct {
	r    io.Reader
	left int64
	name string
}

func (x *exactReader) Read(p []byte) (int, error) {
	if x.left == 0 {
		return 0, io.EOF
	}
	n, err := x.r.Read(p[:min(int64(len(p)), x.left)])
	x.left -= int64(n)
	if errors.Is(err, io.EOF) && x.left > 0 {
		return n, fmt.Errorf("read %s: it became shorter while it was read: %w", x.name, io.ErrUnexpectedEOF)
	}
	return n, err
}

func sortedNames(dir *os.File) ([]string, error) {
	names, err := dir.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// errSocket marks what no image holds.
var errSocket = fmt.Errorf("it is a socket, which no image holds: %w", fs.ErrNotExist)

// entryAt looks at what is called name in a directory, and follows no link.
func entryAt(dir *os.File, name, p string) (Entry, *unix.Stat_t, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Entry{}, nil, absent(err)
	}
	e := Entry{
		Path: p, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		ModTime: time.Unix(st.Mtim.Unix()).UTC(),
	}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type, e.Size = Regular, st.Size
	case unix.S_IFDIR:
		e.Type = Directory
	case unix.S_IFLNK:
		e.Type = Symlink
		e.Link, err = readLink(dir, name)
	case unix.S_IFCHR:
		e.Type, e.Major, e.Minor = CharDevice, unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	case unix.S_IFBLK:
		e.Type, e.Major, e.Minor = BlockDevice, unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	case unix.S_IFIFO:
		e.Type = FIFO
	default:
		return Entry{}, nil, errSocket
	}
	if err == nil {
		e.Xattrs, err = xattrsAt(dir, name)
	}
	return e, &st, err
}

func readLink(dir *os.File, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(dir.Fd()), name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// xattrsAt reads the extended attributes of what is called name in a
// directory. There is no system call for it that takes a directory on all
// kernels, so the path leads through the open directory's place in /proc.
func xattrsAt(dir *os.File, name string) (map[string]string, error) {
	at := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + name
	list, err := growing(func(buf []byte) (int, error) { return unix.Llistxattr(at, buf) })
	if errors.Is(err, unix.ENOTSUP) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list its extended attributes: %w", err)
	}
	xattrs := map[string]string{}
	for key := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		value, err := growing(func(buf []byte) (int, error) { return unix.Lgetxattr(at, key, buf) })
		if errors.Is(err, unix.ENODATA) {
			continue // one that only its owner may read
		}
		if err != nil {
			return nil, fmt.Errorf("read its extended attribute %s: %w", key, err)
		}
		xattrs[key] = string(value)
	}
	return xattrs, nil
}

// growing calls read with a larger buffer until what it reads fits.
func growing(read func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		buf := make([]byte, size)
		n, err := read(buf)
		if err == nil {
			return buf[:n], nil
		}
		if !errors.Is(err, unix.ERANGE) || size >= 1<<20 {
			return nil, err
		}
	}
}
