package ext4

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// directory holds the names of a directory in packed form. For each name it has
// the inode number (4 bytes), the file type, the name's length and the name.
type directory struct {
	packed      []byte
	ino, parent uint32
	leaves      uint32 // blocks of names, of a directory with an index of hashes
	blocks      uint32 // all of them
}

const (
	packedHeader = 6
	dirTail      = 12 // the checksum at a block's end, dressed as an entry
	leafRoom     = blockSize - dirTail
	// leafFill is how far the leaves of an indexed directory are filled, so
	// that the first new names do not split each of them.
	leafFill = leafRoom * 7 / 8
	// dots is the length of the entries "." and "..".
	dots = 12 + 12
	// spareLostFound is how many blocks lost+found has: it must take files
	// when no block is free.
	spareLostFound = 4
)

// dirent is one name in a directory.
type dirent struct {
	ino  uint32
	kind byte
	name []byte
	hash nameHash
}

// length is the size in bytes of an entry in a directory block.
func (d dirent) length() int { return direntLength(len(d.name)) }

func direntLength(name int) int { return (8 + name + 3) &^ 3 }

// add appends a name and returns its position.
func (d *directory) add(name string, ino uint32, kind byte) int {
	at := len(d.packed)
	d.packed = binary.LittleEndian.AppendUint32(d.packed, ino)
	d.packed = append(d.packed, kind, byte(len(name)))
	d.packed = append(d.packed, name...)
	return at
}

// patch sets the inode of a name.
func (d *directory) patch(at int, ino uint32, kind byte) {
	binary.LittleEndian.PutUint32(d.packed[at:], ino)
	d.packed[at+4] = kind
}

// at reads the name at a position, and returns the position of the next name.
func (d *directory) at(off int) (e dirent, next int) {
	p := d.packed[off:]
	next = packedHeader + int(p[5])
	return dirent{ino: binary.LittleEndian.Uint32(p), kind: p[4], name: p[packedHeader:next]}, off + next
}

// entries returns the names in their order.
func (d *directory) entries() []dirent {
	var list []dirent
	for off := 0; off < len(d.packed); {
		var e dirent
		e, off = d.at(off)
		list = append(list, e)
	}
	return list
}

// places holds the position of each name of a directory, sorted by name.
type places []uint32

func (d *directory) places() places {
	var list places
	for off := 0; off < len(d.packed); {
		list = append(list, uint32(off))
		_, off = d.at(off)
	}
	slices.SortFunc(list, func(a, b uint32) int { return bytes.Compare(d.name(a), d.name(b)) })
	return list
}

func (d *directory) name(at uint32) []byte {
	e, _ := d.at(int(at))
	return e.name
}

// find returns the directory's entry with the given name.
func (p places) find(d *directory, name string) (dirent, bool) {
	i, ok := slices.BinarySearchFunc(p, name, func(at uint32, name string) int { return cmp.Compare(string(d.name(at)), name) })
	if !ok {
		return dirent{}, false
	}
	e, _ := d.at(int(p[i]))
	return e, true
}

func hashAll(seed [16]byte, list []dirent) {
	for i := range list {
		list[i].hash = hashName(seed, list[i].name)
	}
}

// errTwice is returned if a directory has two entries with the same name.
var errTwice = errors.New("is in the image twice")

// arrange sorts the names in the order in which they are written, and counts the
// blocks that they need.
func (d *directory) arrange(seed [16]byte) error {
	list := d.entries()
	used := dots
	for _, e := range list {
		used += e.length()
	}
	indexed := used > leafRoom
	if indexed {
		hashAll(seed, list)
	}
	slices.SortFunc(list, func(a, b dirent) int {
		if !indexed {
			return bytes.Compare(a.name, b.name)
		}
		return cmp.Or(cmp.Compare(a.hash.major, b.hash.major), cmp.Compare(a.hash.minor, b.hash.minor), bytes.Compare(a.name, b.name))
	})
	packed := &directory{packed: make([]byte, 0, len(d.packed))}
	for i, e := range list {
		if i > 0 && bytes.Equal(list[i-1].name, e.name) {
			return fmt.Errorf("%q %w", e.name, errTwice)
		}
		packed.add(string(e.name), e.ino, e.kind)
	}
	d.packed = packed.packed
	return d.count(list, indexed)
}

// indexed reports whether the directory has an index of hashes.
func (d *directory) indexed() bool { return d.leaves > 0 }

// count returns how many blocks the names need.
func (d *directory) count(list []dirent, indexed bool) error {
	d.leaves, d.blocks = 0, 1
	if d.ino == lostFoundInode && !indexed {
		d.blocks = spareLostFound
	}
	if !indexed {
		return nil
	}
	d.leaves = uint32(len(leaves(list)))
	if d.leaves > rootFanout*nodeFanout {
		return fmt.Errorf("it has %d names, which is more than a directory can hold", len(list))
	}
	d.blocks = 1 + d.leaves
	d.blocks += d.nodes()
	return nil
}

// nodes returns how many blocks the index has between its root and its leaves.
func (d *directory) nodes() uint32 {
	if d.leaves <= rootFanout {
		return 0
	}
	return uint32(ceilDiv(int64(d.leaves), nodeFanout))
}

// leaves divides the names of an indexed directory into blocks.
func leaves(list []dirent) [][]dirent {
	var out [][]dirent
	start, used := 0, 0
	for i, e := range list {
		if used+e.length() > leafFill {
			out = append(out, list[start:i])
			start, used = i, 0
		}
		used += e.length()
	}
	return append(out, list[start:])
}

// dirBlock is a directory block while it is filled.
type dirBlock struct {
	buf  record
	off  int
	last int // offset of the latest entry
}

func newDirBlock(buf []byte) *dirBlock {
	clear(buf[:blockSize])
	return &dirBlock{buf: buf}
}

func (b *dirBlock) add(e dirent) {
	b.buf.put32(b.off, e.ino)
	b.buf.put16(b.off+4, uint16(e.length()))
	b.buf.put8(b.off+6, uint8(len(e.name)))
	b.buf.put8(b.off+7, e.kind)
	copy(b.buf[b.off+8:], e.name)
	b.last = b.off
	b.off += e.length()
}

// finish extends the last entry to the tail, and writes the tail.
func (b *dirBlock) finish(crc uint32) {
	b.buf.put16(b.last+4, uint16(leafRoom-b.last))
	b.buf.put16(leafRoom+4, dirTail)
	b.buf.put8(leafRoom+7, 0xde)
	b.buf.put32(leafRoom+8, checksum(crc, b.buf[:leafRoom]))
}

// dot is "." or "..".
func dot(name string, ino uint32) dirent {
	return dirent{ino: ino, kind: direntType(modeDir), name: []byte(name)}
}

// write writes the directory, a block at a time.
func (d *directory) write(seed [16]byte, crc uint32, emit func([]byte) error) error {
	if d.indexed() {
		return d.writeIndexed(seed, crc, emit)
	}
	buf := make([]byte, blockSize)
	b := newDirBlock(buf)
	b.add(dot(".", d.ino))
	b.add(dot("..", d.parent))
	for _, e := range d.entries() {
		b.add(e)
	}
	b.finish(crc)
	if err := emit(buf); err != nil {
		return err
	}
	for range d.blocks - 1 {
		newDirBlock(buf).finish(crc)
		if err := emit(buf); err != nil {
			return err
		}
	}
	return nil
}
