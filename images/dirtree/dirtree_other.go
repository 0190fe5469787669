//go:build !linux

package dirtree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"

	"cloudlets/images"
)

// On other hosts than Linux a directory is read file by file, by what
// [os.Root] has. Extended attributes are not read: those of the host are not
// Linux's, and what the image has of them is in its metadata file.

// inode is a file's identity, and how many names it has.
type inode struct{ dev, ino, names uint64 }

// errAnother says that a file was replaced between two looks at it.
var errAnother = errors.New("it became another file while the image was read; try again when nothing changes there")

// openRoot opens the directory itself.
func (d *Dir) openRoot() (*os.Root, error) {
	root, err := os.OpenRoot(d.root)
	if err != nil {
		return nil, fmt.Errorf("open image %s: %w", d.root, err)
	}
	return root, nil
}

// local is a path in the image as [os.Root] takes it.
func local(p string) string {
	if p == "/" {
		return "."
	}
	return p[1:]
}

// find looks at what is at a path, and follows no link to it.
func find(root *os.Root, p string) (fs.FileInfo, error) {
	if images.IsBookkeeping(p) || !nameable(p) {
		return nil, fs.ErrNotExist
	}
	for i := 1; i < len(p); i++ {
		if p[i] != '/' {
			continue
		}
		if info, err := root.Lstat(p[1:i]); err != nil || !info.IsDir() {
			return nil, errors.Join(err, fs.ErrNotExist)
		}
	}
	return root.Lstat(local(p))
}

// within calls a function for the file at a path.
func (d *Dir) within(what, p string, do func(root *os.Root, p string, info fs.FileInfo) error) error {
	root, err := d.openRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	p = images.CleanPath(p)
	info, err := find(root, p)
	if err == nil {
		err = do(root, p, info)
	}
	if err != nil {
		return d.fail(what, p, err)
	}
	return nil
}

// Entry tells what is at a path.
func (d *Dir) Entry(p string) (e images.Entry, err error) {
	err = d.within("look at", p, func(root *os.Root, p string, info fs.FileInfo) error {
		e, _, err = entryAt(root, p, info)
		return err
	})
	return e, err
}

// ReadDir lists a directory, sorted by name. Sockets are not listed.
func (d *Dir) ReadDir(p string) (entries []images.Entry, err error) {
	err = d.within("list", p, func(root *os.Root, p string, _ fs.FileInfo) error {
		paths, err := children(root, p)
		if err != nil {
			return err
		}
		for _, c := range paths {
			e, _, err := lookAt(root, c)
			if err == nil {
				entries = append(entries, e)
			} else if !errors.Is(err, errSocket) {
				return fmt.Errorf("look at %s: %w", c, err)
			}
		}
		return nil
	})
	return entries, err
}

// Open reads the regular file at a path.
func (d *Dir) Open(p string) (r io.ReadCloser, err error) {
	err = d.within("open", p, func(root *os.Root, p string, info fs.FileInfo) error {
		if !info.Mode().IsRegular() {
			return errors.New("it is not a regular file")
		}
		f, err := openFile(root, p, info)
		r = f
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// openFile opens the regular file that was looked at.
func openFile(root *os.Root, p string, seen fs.FileInfo) (*os.File, error) {
	f, err := root.Open(local(p))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !os.SameFile(info, seen) {
		err = errAnother
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// children are the paths of what is in a directory, sorted by their bytes,
// without bookkeeping.
func children(root *os.Root, p string) ([]string, error) {
	f, err := root.Open(local(p))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	paths := make([]string, 0, len(names))
	for _, name := range names {
		if c := path.Join(p, name); !images.IsBookkeeping(c) {
			paths = append(paths, c)
		}
	}
	return paths, nil
}

func lookAt(root *os.Root, p string) (images.Entry, inode, error) {
	info, err := root.Lstat(local(p))
	if err != nil {
		return images.Entry{}, inode{}, err
	}
	return entryAt(root, p, info)
}

// entryAt is what the host tells of a file.
func entryAt(root *os.Root, p string, info fs.FileInfo) (images.Entry, inode, error) {
	e := images.Entry{Path: p, ModTime: info.ModTime().UTC()}
	var err error
	switch info.Mode().Type() {
	case 0:
		e.Type, e.Size = images.Regular, info.Size()
	case fs.ModeDir:
		e.Type = images.Directory
	case fs.ModeSymlink:
		e.Type = images.Symlink
		e.Link, err = root.Readlink(local(p))
	case fs.ModeDevice | fs.ModeCharDevice:
		e.Type = images.CharDevice
	case fs.ModeDevice:
		e.Type = images.BlockDevice
	case fs.ModeNamedPipe:
		e.Type = images.FIFO
	case fs.ModeSocket:
		return images.Entry{}, inode{}, errSocket
	default:
		return images.Entry{}, inode{}, errors.New("it is of a kind that no image holds")
	}
	if err != nil {
		return images.Entry{}, inode{}, err
	}
	id, err := describe(&e, root, info)
	if e.Type == images.Symlink {
		e.Mode = 0o777 // as on Linux, where nothing asks for it
	}
	return e, id, err
}

// Paths hands on the path of each file in the directory, sorted by their
// bytes.
func (d *Dir) Paths(ctx context.Context, yield func(path string) error) error {
	var paths []string
	err := d.Walk(ctx, func(e images.Entry, _ io.Reader) error {
		paths = append(paths, e.Path)
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(paths)
	for _, p := range paths {
		if err := yield(p); err != nil {
			return err
		}
	}
	return nil
}

// Walk visits the directory depth first, names sorted by their bytes.
func (d *Dir) Walk(ctx context.Context, visit images.VisitFunc) error {
	root, err := d.openRoot()
	if err != nil {
		return err
	}
	defer root.Close()
	w := &dirWalk{source: d, root: root, visit: visit, links: map[inode]string{}}
	return w.file(ctx, "/")
}

// dirWalk is one walk. links holds the first name of each file that has
// several.
type dirWalk struct {
	source *Dir
	root   *os.Root
	visit  images.VisitFunc
	links  map[inode]string
}

// file visits what is at a path, and what is in it.
func (w *dirWalk) file(ctx context.Context, p string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	info, err := w.root.Lstat(local(p))
	if err != nil {
		return w.source.fail("read", p, vanished(err))
	}
	e, id, err := entryAt(w.root, p, info)
	switch {
	case errors.Is(err, errSocket):
		return nil
	case err != nil:
		return w.source.fail("read", p, vanished(err))
	case e.Type == images.Directory:
		return w.directory(ctx, e)
	}
	if first, ok := w.links[id]; ok && id.names > 1 {
		e.Type, e.Link, e.Size, e.Major, e.Minor = images.HardLink, first, 0, 0, 0
		return w.visit(e, nil)
	}
	if id.names > 1 {
		w.links[id] = p
	}
	if e.Type != images.Regular {
		return w.visit(e, nil)
	}
	return w.content(e, info)
}

func (w *dirWalk) directory(ctx context.Context, e images.Entry) error {
	if err := w.visit(e, nil); err != nil {
		return err
	}
	paths, err := children(w.root, e.Path)
	if err != nil {
		return w.source.fail("list", e.Path, vanished(err))
	}
	for _, p := range paths {
		if err := w.file(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (w *dirWalk) content(e images.Entry, info fs.FileInfo) error {
	c := &dirContent{root: w.root, entry: e, info: info, left: e.Size}
	defer c.close()
	return w.visit(e, c)
}

// dirContent reads a file of a walk, which it opens when it is first read. It
// gives as many bytes as the file had when it was looked at: whoever gets
// them was told that number.
type dirContent struct {
	root  *os.Root
	entry images.Entry
	info  fs.FileInfo
	left  int64
	file  *os.File
	over  bool
}

func (c *dirContent) Read(p []byte) (n int, err error) {
	if c.over {
		return 0, errVisitOver
	}
	if c.left == 0 {
		return 0, io.EOF
	}
	if c.file == nil {
		c.file, err = openFile(c.root, c.entry.Path, c.info)
	}
	if err == nil {
		n, err = c.file.Read(p[:min(int64(len(p)), c.left)])
		c.left -= int64(n)
	}
	if errors.Is(err, io.EOF) && c.left > 0 {
		err = fmt.Errorf("it became shorter while it was read: %w", io.ErrUnexpectedEOF)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read %s: %w", c.entry.Path, vanished(err))
	}
	return n, err
}

// close ends the reading.
func (c *dirContent) close() {
	c.over = true
	if c.file != nil {
		c.file.Close()
	}
}
