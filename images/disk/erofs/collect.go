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

// rootNumber is the number of the root's inode: they count from 1, in the
// order of the walk.
const rootNumber = 1

// node is what is kept of a file between the two walks.
type node struct {
	sum       uint64 // of its entry; 0 is a root that the image says nothing of
	at        int64  // where its inode is, in bytes
	links     uint32
	directory bool
}

// tree is all that is kept of an image.
type tree struct {
	nodes []node // number 1 first
	dirs  []*directory
	// data tells of large files with holes, by their numbers.
	data    map[uint32][]sparse.Extent
	links   []uint64 // sums of the hard links' entries, in the walk's order
	entries int64
}

func (t *tree) node(number uint32) *node { return &t.nodes[number-1] }

// collector makes a tree of a source.
type collector struct {
	tree
	ctx     context.Context
	group   group // files count from the end of the directories
	byPath  map[string]*directory
	pending []hardLink
	buf     []byte
}

// hardLink is a name whose inode is found when all names are known.
type hardLink struct {
	dir    *directory
	at     int
	target string
}

func newCollector(ctx context.Context) *collector {
	c := &collector{ctx: ctx, byPath: map[string]*directory{}}
	c.data = map[uint32][]sparse.Extent{}
	c.nodes = append(c.nodes, node{directory: true, links: 2})
	c.addDirectory(images.Entry{Path: "/", Type: images.Directory, Mode: 0o755}, rootNumber, rootNumber, nil)
	return c
}

// visit takes over one entry.
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
	if len(c.nodes) == math.MaxUint32 {
		return errors.New("it is one file more than EROFS can number")
	}
	if err := check(e); err != nil {
		return err
	}
	xattrs, err := encodeXattrs(e.Xattrs)
	if err != nil {
		return err
	}
	c.nodes = append(c.nodes, node{sum: e.Sum(), links: 1})
	number := uint32(len(c.nodes))
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

// root is the image's own word on the root directory.
func (c *collector) root(e images.Entry) error {
	n := c.node(rootNumber)
	if e.Type != images.Directory || n.sum != 0 {
		return errors.New("the root is not one directory")
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
		return nil, "", errors.New("it is no path that a filesystem can hold")
	}
	dir, ok := c.byPath[path.Dir(p)]
	if !ok {
		return nil, "", fmt.Errorf("its directory %s was not there before it", path.Dir(p))
	}
	return dir, name, nil
}

// check refuses what no inode can say.
func check(e images.Entry) error {
	switch e.Type {
	case images.Symlink:
		if n := len(e.Link); n == 0 || n >= blockSize || strings.Contains(e.Link, "\x00") {
			return fmt.Errorf("its target of %d bytes is impossible: 1 to 4095 can be, none of them zero", n)
		}
	case images.CharDevice, images.BlockDevice:
		if e.Major >= 1<<12 || e.Minor >= 1<<20 {
			return fmt.Errorf("device %d:%d is beyond what Linux has: 4095:1048575", e.Major, e.Minor)
		}
	case images.Regular:
		if e.Size < 0 || e.Size > maxSize {
			return fmt.Errorf("its %d bytes are more than EROFS can hold: %d", e.Size, int64(maxSize))
		}
	case images.Directory, images.FIFO:
	default:
		return fmt.Errorf("it is of the unknown type %d", e.Type)
	}
	return nil
}

// file gives what is no directory its place.
func (c *collector) file(e images.Entry, number uint32, xattrs []byte, content io.Reader) error {
	if e.Type == images.Regular && e.Size >= leastSparse && content != nil {
		if c.buf == nil {
			c.buf = make([]byte, sparse.HoleSize)
		}
		data, err := sparse.FindData(c.ctx, content, e.Size, c.buf)
		if err != nil {
			return err
		}
		if len(data) != 1 || data[0].Length != e.Size {
			c.data[number] = data
		}
	}
	s := c.shape(e, number, len(xattrs))
	c.node(number).at = c.group.take(s)
	return nil
}

// resolve finds the inodes of hard links, in the walk's order, because a link
// may name a link.
func (c *collector) resolve() error {
	names := map[*directory]map[string]int{}
	for _, link := range c.pending {
		d := c.byPath[path.Dir(link.target)]
		if d == nil {
			return fmt.Errorf("a hard link names %s: its directory is not in the image", link.target)
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
