package ext4

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"strings"
	"time"

	"cloudlets/images"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/paged"
)

// tree holds everything that is kept of an image between the two walks.
type tree struct {
	inodes  paged.List[inode] // number 1 first
	extras  paged.List[extra]
	dirs    paged.List[directory] // by inode number, except lost+found
	targets paged.Texts           // the targets of all short symlinks
	links   paged.List[uint64]    // sums of the hard links' entries, in the order of the walk
	entries int64
}

func (t *tree) inode(ino uint32) *inode { return t.inodes.At(int(ino) - 1) }

// last returns the highest inode number in use. All lower numbers are in use too.
func (t *tree) last() int64 { return int64(t.inodes.Len()) }

// extra returns an inode's extra data, or nil for most inodes, which have none.
func (t *tree) extra(n *inode) *extra {
	if n.extra == 0 {
		return nil
	}
	return t.extras.At(int(n.extra) - 1)
}

// numbers assigns inode numbers in the order of a walk. Both walks get the same
// numbers.
type numbers struct{ last uint32 }

func (s *numbers) next(p string) uint32 {
	switch p {
	case "/":
		return rootInode
	case lostFound:
		return lostFoundInode
	}
	s.last++
	return s.last
}

const lostFound = "/lost+found"

// collector builds a tree from a source.
type collector struct {
	tree
	ctx     context.Context
	made    time.Time
	numbers numbers
	byPath  map[string]*directory
	pending paged.List[hardLink]
	named   paged.Texts       // the targets of pending hard links
	known   map[string]string // encoded attributes, to keep equal ones once
	buf     []byte
}

// hardLink is a name whose inode can only be found once all names are known.
type hardLink struct {
	dir    *directory
	at     uint32
	target uint32 // index in collector.named
}

func newCollector(ctx context.Context, made time.Time) *collector {
	c := &collector{
		ctx: ctx, made: made, numbers: numbers{lostFoundInode},
		byPath: map[string]*directory{}, known: map[string]string{},
	}
	for range lostFoundInode {
		c.inodes.Add(inode{})
	}
	c.directory(images.Entry{Path: "/", Type: images.Directory, Mode: 0o755, ModTime: made}, rootInode, rootInode)
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
		return c.link(e, parent, name)
	}
	if e.Path == lostFound && e.Type != images.Directory {
		return errors.New("ext4 keeps this name for a directory: rename the file")
	}
	if c.last() >= math.MaxUint32 {
		return errors.New("ext4 cannot hold more files: make the image smaller")
	}
	ino := c.numbers.next(e.Path)
	n, err := c.add(e, ino, parent)
	if err != nil {
		return err
	}
	parent.add(name, ino, direntType(n.mode))
	return c.details(e, n, content)
}

// link remembers a hard link until all names are known.
func (c *collector) link(e images.Entry, parent *directory, name string) error {
	if len(e.Link) > paged.MaxText {
		return fmt.Errorf("it is a hard link to a path of %d bytes, which is too long for a path", len(e.Link))
	}
	c.links.Add(e.Sum())
	c.pending.Add(hardLink{parent, uint32(parent.add(name, 0, 0)), c.named.Add(e.Link)})
	return nil
}

// root sets the root directory's attributes from the image's entry.
func (c *collector) root(e images.Entry) error {
	n := c.inode(rootInode)
	if e.Type != images.Directory || n.sum != 0 {
		return errors.New("the root must be one directory")
	}
	links := n.links
	*n = newInode(e)
	n.links, n.sum = links, e.Sum()
	return c.attributes(e, n)
}

func (c *collector) parent(p string) (dir *directory, name string, err error) {
	name = path.Base(p)
	if !strings.HasPrefix(p, "/") || path.Clean(p) != p || len(name) > 255 || strings.Contains(name, "\x00") {
		return nil, "", errors.New("it is not a clean absolute path whose last name has at most 255 bytes")
	}
	dir, ok := c.byPath[path.Dir(p)]
	if !ok {
		return nil, "", fmt.Errorf("its directory %s did not come before it", path.Dir(p))
	}
	return dir, name, nil
}

// add adds the entry's inode.
func (c *collector) add(e images.Entry, ino uint32, parent *directory) (*inode, error) {
	if e.Type != images.Directory {
		return c.inodes.Add(newInode(e)), nil
	}
	if _, ok := c.byPath[e.Path]; ok {
		return nil, errTwice
	}
	c.inode(parent.ino).linkDirectory()
	if ino != lostFoundInode {
		c.inodes.Add(inode{})
	}
	return c.directory(e, ino, parent.ino), nil
}

func (c *collector) directory(e images.Entry, ino, parent uint32) *inode {
	c.byPath[e.Path] = c.dirs.Add(directory{ino: ino, parent: parent})
	n := c.inode(ino)
	*n = newInode(e)
	n.links = 2
	return n
}

// details sets what depends on the type of file.
func (c *collector) details(e images.Entry, n *inode, content io.Reader) (err error) {
	n.sum = e.Sum()
	switch e.Type {
	case images.Symlink:
		err = c.symlink(e, n)
	case images.CharDevice, images.BlockDevice:
		var ok bool
		if n.size, ok = deviceNumber(e.Major, e.Minor); !ok {
			err = fmt.Errorf("the device number %d:%d is larger than Linux's largest, 4095:1048575", e.Major, e.Minor)
		}
	case images.Regular:
		err = c.regular(e, n, content)
	case images.Directory, images.FIFO:
	default:
		err = fmt.Errorf("its type %d is unknown", e.Type)
	}
	if err != nil {
		return err
	}
	return c.attributes(e, n)
}

func (c *collector) symlink(e images.Entry, n *inode) error {
	n.size = int64(len(e.Link))
	switch {
	case n.size == 0 || n.size >= blockSize || strings.Contains(e.Link, "\x00"):
		return fmt.Errorf("its target of %d bytes is invalid: it must have 1 to 4095 bytes, and no zero byte", n.size)
	case n.size < shortLink:
		n.start = int64(c.targets.Add(e.Link))
	default:
		c.extraOf(n).target = e.Link
	}
	return nil
}

// maxFileSize is the largest size at which block numbers in a file have 32 bits.
const maxFileSize = (1<<32 - 1) * blockSize

func (c *collector) regular(e images.Entry, n *inode, content io.Reader) error {
	if e.Size < 0 || e.Size > maxFileSize {
		return fmt.Errorf("it has %d bytes, but ext4 holds at most %d in a file", e.Size, int64(maxFileSize))
	}
	n.size = e.Size
	if e.Size < leastSparse || content == nil {
		return nil
	}
	if c.buf == nil {
		c.buf = make([]byte, sparse.HoleSize)
	}
	found, err := sparse.FindData(c.ctx, content, e.Size, c.buf)
	if err != nil {
		return err
	}
	data := segments(found)
	if whole := (segment{0, n.blocks()}); len(data) != 1 || data[0] != whole {
		c.extraOf(n).data = data
	}
	return nil
}

// extraOf returns an inode's extra data, which it adds if there is none.
func (t *tree) extraOf(n *inode) *extra {
	if x := t.extra(n); x != nil {
		return x
	}
	x := t.extras.Add(extra{})
	n.extra = uint32(t.extras.Len())
	return x
}

func (c *collector) attributes(e images.Entry, n *inode) error {
	if len(e.Xattrs) == 0 {
		return nil
	}
	inline, block, err := encodeXattrs(e.Xattrs)
	if err != nil {
		return err
	}
	x := c.extraOf(n)
	x.inline, x.block = c.once(inline), c.once(block)
	return nil
}

// once stores equal strings only once, because most files with a security label
// have the same one.
func (c *collector) once(b []byte) string {
	if s, ok := c.known[string(b)]; ok {
		return s
	}
	s := string(b)
	c.known[s] = s
	return s
}

// finish completes the tree: lost+found, and the inodes of hard links.
func (c *collector) finish() (*tree, error) {
	if _, ok := c.byPath[lostFound]; !ok {
		root := c.byPath["/"]
		e := images.Entry{Path: lostFound, Type: images.Directory, Mode: 0o700, ModTime: c.made}
		if _, err := c.add(e, lostFoundInode, root); err != nil {
			return nil, err
		}
		root.add(path.Base(lostFound), lostFoundInode, direntType(modeDir))
	}
	if err := c.resolve(); err != nil {
		return nil, err
	}
	t := c.tree // a copy, so that the collector's other fields can be freed
	return &t, nil
}

// resolve finds the inodes of hard links. It does so in the order of the walk,
// because a link may name an earlier link.
func (c *collector) resolve() error {
	names := map[*directory]places{}
	for i := range c.pending.Len() {
		link := c.pending.At(i)
		p := string(c.named.At(link.target))
		target, err := c.target(p, names)
		if err != nil {
			return err
		}
		link.dir.patch(int(link.at), target.ino, target.kind)
		n := c.inode(target.ino)
		if n.links == maxLinks {
			return fmt.Errorf("%s has more than %d names, which is ext4's limit: remove some hard links", p, maxLinks)
		}
		n.links++
	}
	return nil
}

// target finds the file that a hard link names. It keeps the positions of names in
// searched directories in names.
func (c *collector) target(p string, names map[*directory]places) (dirent, error) {
	d := c.byPath[path.Dir(p)]
	if d == nil {
		return dirent{}, fmt.Errorf("a hard link names %s, whose directory is not in the image", p)
	}
	if names[d] == nil {
		names[d] = d.places()
	}
	target, ok := names[d].find(d, path.Base(p))
	if !ok {
		return dirent{}, fmt.Errorf("a hard link names %s, which is not in the image", p)
	}
	if target.ino == 0 || target.kind == direntType(modeDir) {
		return dirent{}, fmt.Errorf("a hard link names %s, which is a directory or comes after it", p)
	}
	return target, nil
}

// arrange sorts all directories and sets their sizes.
func (t *tree) arrange(seed [16]byte) error {
	for i := range t.dirs.Len() {
		d := t.dirs.At(i)
		n := t.inode(d.ino)
		if err := d.arrange(seed); err != nil {
			return fmt.Errorf("directory of inode %d: %w", d.ino, err)
		}
		n.size = int64(d.blocks) * blockSize
		if d.indexed() {
			t.extraOf(n).indexed = true
		}
	}
	return nil
}
