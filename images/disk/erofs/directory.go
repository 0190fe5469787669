package erofs

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"cloudlets/images"
)

const (
	// direntSize is the size in bytes of a directory entry without its name. The
	// names follow after all entries of a block.
	direntSize = 12
	maxName    = 255
)

var errTwice = errors.New("it is in the image twice")

// directory is a directory with its names in packed form. For each name it has an
// inode number, a type, the name's length and the name.
type directory struct {
	number, parent uint32
	entry          images.Entry // without path and attributes
	xattrs         []byte
	packed         []byte
	size           int64 // of its content
	at             int64 // offset of its whole blocks in bytes
}

// packedHead is the length of the fields before a packed name.
const packedHead = 4 + 1 + 1

type dirent struct {
	number uint32
	kind   uint8
	name   string
}

func (d dirent) length() int { return direntSize + len(d.name) }

// headOf returns the parts of an entry that its inode stores.
func headOf(e images.Entry) images.Entry {
	e.Path, e.Xattrs = "", nil
	return e
}

// add adds a name and returns its position.
func (d *directory) add(name string, number uint32, kind uint8) int {
	at := len(d.packed)
	d.packed = binary.LittleEndian.AppendUint32(d.packed, number)
	d.packed = append(d.packed, kind, uint8(len(name)))
	d.packed = append(d.packed, name...)
	return at
}

// read reads the packed name at a position, and returns the position of the next.
func (d *directory) read(at int) (e dirent, next int) {
	length := int(d.packed[at+packedHead-1])
	next = at + packedHead + length
	return dirent{binary.LittleEndian.Uint32(d.packed[at:]), d.packed[at+4], string(d.packed[at+packedHead : next])}, next
}

// patch sets the inode of a hard link.
func (d *directory) patch(at int, number uint32, kind uint8) {
	binary.LittleEndian.PutUint32(d.packed[at:], number)
	d.packed[at+4] = kind
}

// places returns the position of each name.
func (d *directory) places() map[string]int {
	m := map[string]int{}
	for at := 0; at < len(d.packed); {
		e, next := d.read(at)
		m[e.name] = at
		at = next
	}
	return m
}

// sorted returns all entries in the order of their names' bytes, which the kernel's
// search needs.
func (d *directory) sorted() ([]dirent, error) {
	list := []dirent{{d.number, direntType(images.Directory), "."}, {d.parent, direntType(images.Directory), ".."}}
	for at := 0; at < len(d.packed); {
		e, next := d.read(at)
		list = append(list, e)
		at = next
	}
	slices.SortFunc(list, func(a, b dirent) int { return cmp.Compare(a.name, b.name) })
	for i := range list[1:] {
		if list[i].name == list[i+1].name {
			return nil, fmt.Errorf("%q: %w", list[i].name, errTwice)
		}
	}
	return list, nil
}

// inBlocks divides a sorted list into the lists of the directory's blocks.
func inBlocks(list []dirent) (parts [][]dirent) {
	start, used := 0, 0
	for i, e := range list {
		if used+e.length() > blockSize {
			parts = append(parts, list[start:i])
			start, used = i, 0
		}
		used += e.length()
	}
	return append(parts, list[start:])
}

// arrange computes the sizes of the directories.
func (t *tree) arrange() error {
	for _, d := range t.dirs {
		list, err := d.sorted()
		if err != nil {
			return fmt.Errorf("directory of inode %d: %w", d.number, err)
		}
		parts := inBlocks(list)
		last := 0
		for _, e := range parts[len(parts)-1] {
			last += e.length()
		}
		d.size = int64(len(parts)-1)*blockSize + int64(last)
	}
	return nil
}

// content returns the whole content of a directory.
func (t *tree) content(d *directory) ([]byte, error) {
	list, err := d.sorted()
	if err != nil {
		return nil, err
	}
	b := make([]byte, d.size)
	for i, part := range inBlocks(list) {
		block := b[i*blockSize:]
		name := len(part) * direntSize
		for n, e := range part {
			head := block[n*direntSize:]
			binary.LittleEndian.PutUint64(head, uint64(t.node(e.number).at/slotSize))
			binary.LittleEndian.PutUint16(head[8:], uint16(name))
			head[10] = e.kind
			name += copy(block[name:], e.name)
		}
	}
	return b, nil
}

// placeDirectories assigns offsets to the directories: first to all their inodes,
// from the second block on, and then to all their whole blocks. It returns the
// offset of their end.
func (l *Layout) placeDirectories() (end int64) {
	g := group{start: blockSize}
	for _, d := range l.dirs {
		l.node(d.number).at = g.place(shapeOf(d.size, len(d.xattrs)))
	}
	end = g.start + roundUp(g.meta, blockSize)
	for _, d := range l.dirs {
		d.at = end
		end += shapeOf(d.size, len(d.xattrs)).blocks * blockSize
	}
	return end
}

// direntType returns the file type in a directory entry.
func direntType(t images.Type) uint8 {
	switch t {
	case images.Regular:
		return 1
	case images.Directory:
		return 2
	case images.CharDevice:
		return 3
	case images.BlockDevice:
		return 4
	case images.FIFO:
		return 5
	case images.Symlink:
		return 7
	}
	return 0
}
