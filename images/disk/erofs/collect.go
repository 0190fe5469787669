package erofs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"

	"cloudlets/images"
	"cloudlets/images/disk/sparse"
)

// rootNumber is the number of the root's inode. Inodes are numbered from 1 in the
// order of the walk.
const rootNumber = 1

// inode holds what is kept of a file between the two walks.
type inode struct {
	sum       uint64 // of its entry; 0 for a root without an entry in the image
	at        int64  // offset of its inode in bytes
	links     uint32
	pressed   uint32 // number of its compressed blocks; 0 if it is not compressed
	directory bool
}

// tree holds everything that is kept of an image between the two walks.
type tree struct {
	inodes []inode // number 1 first
	dirs   []*directory
	// data holds the parts with data of large files with holes, by inode number.
	data    map[uint32][]sparse.Extent
	links   []uint64 // sums of the hard links' entries, in the walk's order
	entries int64
}

func (t *tree) node(number uint32) *inode { return &t.inodes[number-1] }

// collector builds a tree from a source.
type collector struct {
	tree
	ctx     context.Context
	group   group // offsets of files count from the end of the directories
	byPath  map[string]*directory
	pending []hardLink
	buf     []byte
	squeeze *squeezer // nil if nothing is compressed
}

// hardLink is a name whose inode can only be found once all names are known.
type hardLink struct {
	dir    *directory
	at     int
	target string
}

func newCollector(ctx context.Context) *collector {
	c := &collector{ctx: ctx, byPath: map[string]*directory{}}
	c.data = map[uint32][]sparse.Extent{}
	c.inodes = append(c.inodes, inode{directory: true, links: 2})
	c.addDirectory(images.Entry{Path: "/", Type: images.Directory, Mode: 0o755}, rootNumber, rootNumber, nil)
	return c
}

// visit adds one entry.
func (c *collector) visit(e images.Entry, content io.Reader) error {
	if err := c.entry(e, content); err != nil {
		return fmt.Errorf("%s: %w", e.Path, err)
	}
	c.entries++
	return nil
}

func (c *collector) entry(e images.Entry, content io.Reader) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if e.Path == "/" {
		return c.root(e)
	}
	parent, name, err := c.parent(e.Path)
	if err != nil {
		return err
	}
	if e.Type == images.HardLink {
		c.links = append(c.links, e.Sum())
		c.pending = append(c.pending, hardLink{parent, parent.add(name, 0, 0), e.Link})
		return nil
	}
	if len(c.inodes) == math.MaxUint32 {
		return errors.New("EROFS cannot hold more files: make the image smaller")
	}
	if err := check(e); err != nil {
		return err
	}
	xattrs, err := encodeXattrs(e.Xattrs)
	if err != nil {
		return err
	}
	c.inodes = append(c.inodes, inode{sum: e.Sum(), links: 1})
	number := uint32(len(c.inodes))
	parent.add(name, number, direntType(e.Type))
	if e.Type == images.Directory {
		if _, ok := c.byPath[e.Path]; ok {
			return errTwice
		}
		n := c.node(number)
		n.links, n.directory = 2, true
		c.node(parent.number).links++
		c.addDirectory(e, number, parent.number, xattrs)
		return nil
	}
	return c.file(e, number, xattrs, content)
}

// root sets the root directory's attributes from the image's entry.
func (c *collector) root(e images.Entry) error {
	n := c.node(rootNumber)
	if e.Type != images.Directory || n.sum != 0 {
		return errors.New("the root must be one directory")
	}
	xattrs, err := encodeXattrs(e.Xattrs)
	c.dirs[0].entry, c.dirs[0].xattrs, n.sum = headOf(e), xattrs, e.Sum()
	return err
}

func (c *collector) addDirectory(e images.Entry, number, parent uint32, xattrs []byte) {
	d := &directory{number: number, parent: parent, entry: headOf(e), xattrs: xattrs}
	c.dirs = append(c.dirs, d)
	c.byPath[e.Path] = d
}

func (c *collector) parent(p string) (dir *directory, name string, err error) {
	name = path.Base(p)
	if !strings.HasPrefix(p, "/") || path.Clean(p) != p || len(name) > maxName || strings.Contains(name, "\x00") {
		return nil, "", errors.New("it is not a clean absolute path whose last name has at most 255 bytes")
	}
	dir, ok := c.byPath[path.Dir(p)]
	if !ok {
		return nil, "", fmt.Errorf("its directory %s did not come before it", path.Dir(p))
	}
	return dir, name, nil
}

// check returns an error if an inode cannot represent the entry.
func check(e images.Entry) error {
	switch e.Type {
	case images.Symlink:
		if n := len(e.Link); n == 0 || n >= blockSize || strings.Contains(e.Link, "\x00") {
			return fmt.Errorf("its target of %d bytes is invalid: it must have 1 to 4095 bytes, and no zero byte", n)
		}
	case images.CharDevice, images.BlockDevice:
		if e.Major >= 1<<12 || e.Minor >= 1<<20 {
			return fmt.Errorf("the device number %d:%d is larger than Linux's largest, 4095:1048575", e.Major, e.Minor)
		}
	case images.Regular:
		if e.Size < 0 || e.Size > maxSize {
			return fmt.Errorf("it has %d bytes, but EROFS holds at most %d in a file", e.Size, int64(maxSize))
		}
	case images.Directory, images.FIFO:
	default:
		return fmt.Errorf("its type %d is unknown", e.Type)
	}
	return nil
}

// file finds out how a file that is not a directory is stored, and assigns an
// offset to its inode. It reads the content if that has to be compressed, or
// searched for holes.
func (c *collector) file(e images.Entry, number uint32, xattrs []byte, content io.Reader) error {
	if c.squeeze == nil {
		err := c.findHoles(e, number, content)
		c.place(number, c.shape(e, number, len(xattrs)), 0)
		return err
	}
	if err := c.squeeze.begin(file{number: number, size: e.Size}); err != nil {
		return err
	}
	if squeezable(e, content) {
		content = io.TeeReader(content, c.squeeze)
	}
	err := c.findHoles(e, number, content)
	if err == nil && squeezable(e, content) && e.Size < leastSparse {
		err = c.readAll(content, e.Size)
	}
	c.squeeze.end(c.shape(e, number, len(xattrs)))
	return err
}

// place assigns an offset to an inode with a shape, and a number of compressed
// blocks.
func (c *collector) place(number uint32, s shape, pressed uint32) {
	if pressed > 0 {
		delete(c.data, number)
	}
	n := c.node(number)
	n.at, n.pressed = c.group.take(s), pressed
}

// findHoles finds the holes of a large file.
func (c *collector) findHoles(e images.Entry, number uint32, content io.Reader) error {
	if e.Type != images.Regular || e.Size < leastSparse || content == nil {
		return nil
	}
	data, err := sparse.FindData(c.ctx, content, e.Size, c.buffer())
	if err == nil && (len(data) != 1 || data[0].Length != e.Size) {
		c.data[number] = data
	}
	return err
}

// readAll reads a content of size bytes.
func (c *collector) readAll(content io.Reader, size int64) error {
	for size > 0 {
		part := c.buffer()[:min(size, sparse.HoleSize)]
		if _, err := io.ReadFull(content, part); err != nil {
			return changedIfShort(err)
		}
		size -= int64(len(part))
	}
	return nil
}

func (c *collector) buffer() []byte {
	if c.buf == nil {
		c.buf = make([]byte, sparse.HoleSize)
	}
	return c.buf
}

// resolve finds the inodes of hard links. It does so in the order of the walk,
// because a link may name an earlier link.
func (c *collector) resolve() error {
	names := map[*directory]map[string]int{}
	for _, link := range c.pending {
		d := c.byPath[path.Dir(link.target)]
		if d == nil {
			return fmt.Errorf("a hard link names %s, whose directory is not in the image", link.target)
		}
		if names[d] == nil {
			names[d] = d.places()
		}
		at, ok := names[d][path.Base(link.target)]
		if !ok {
			return fmt.Errorf("a hard link names %s, which is not in the image", link.target)
		}
		target, _ := d.read(at)
		if target.number == 0 || target.kind == direntType(images.Directory) {
			return fmt.Errorf("a hard link names %s, which is a directory or comes after it", link.target)
		}
		link.dir.patch(link.at, target.number, target.kind)
		c.node(target.number).links++
	}
	return nil
}
