package erofs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"cloudlets/images"
	"cloudlets/images/disk/sparse"
)

// Constants of the superblock.
const (
	superAt    = 1024
	superMagic = 0xe0f5e1e2
	// hasChecksum says that the superblock has a checksum, and hasMtime that the
	// times of inodes are those of changes to the content.
	hasChecksum, hasMtime = 1, 2
	// hasPadding and hasChunks keep kernels from mounting the filesystem that do not
	// support zeros before compressed data, and files in chunks.
	hasPadding, hasChunks = 1, 4
	// hasFormats does so with kernels that do not know the list of compressions in the
	// superblock, or extents of several blocks.
	hasFormats = 2
	// superSize is the length of the superblock. The parameters of each compression follow
	// it: the length of the record (2 bytes), and the record.
	superSize = 128
)

// emitter writes a layout once.
type emitter struct {
	*Layout
	ctx     context.Context
	out     *sparse.Ordered
	group   group
	members []member
	arena   []byte // contents of the group's small files
	number  uint32 // of the last inode so far
	links   int    // number of hard links so far
	entries int64
	spooled int64 // offset of the next compressed file in the temporary file
	buf     []byte
}

// member is a file of the group that is being collected.
type member struct {
	entry   images.Entry
	number  uint32
	shape   shape
	at      int64
	xattrs  []byte
	content []byte // nil if it is streamed
	spooled int64  // offset of its compressed blocks in the temporary file
}

func (e *emitter) write(p []byte) error {
	_, err := e.out.Write(p)
	return err
}

func (e *emitter) superblock() error {
	le := binary.LittleEndian
	block := make([]byte, blockSize)
	b := block[superAt:]
	le.PutUint32(b[0:], superMagic)
	le.PutUint32(b[8:], hasChecksum|hasMtime)
	b[12] = 12 // a block has 1<<12 bytes
	le.PutUint16(b[14:], uint16(e.node(rootNumber).at/slotSize))
	le.PutUint64(b[16:], uint64(len(e.inodes)))
	if t := e.opts.Time; !t.IsZero() {
		le.PutUint64(b[24:], uint64(t.Unix()))
		le.PutUint32(b[32:], uint32(t.Nanosecond()))
	}
	le.PutUint32(b[36:], uint32(e.size/blockSize))
	copy(b[48:], e.opts.UUID[:])
	copy(b[64:], e.opts.Label)
	le.PutUint32(b[80:], e.needs())
	if e.needs()&hasFormats != 0 {
		le.PutUint16(b[84:], 1<<zstdFormat)
		copy(b[superSize:], zstdParameters[:])
	}
	// The usual CRC-32C is inverted at the end, but the kernel's is not, so this
	// inverts it again.
	le.PutUint32(b[4:], ^crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return e.write(block)
}

// needs returns what a kernel must support.
func (l *Layout) needs() (flags uint32) {
	if len(l.data) > 0 {
		flags = hasChunks
	}
	if l.spool != nil {
		flags |= hasPadding
	}
	if l.spool != nil && l.opts.Compression == ZSTD {
		flags |= hasFormats
	}
	return flags
}

// directories writes all inodes of directories, each with the end of its content
// if that follows the inode, and then the other parts of the contents.
func (e *emitter) directories() error {
	for _, d := range e.dirs {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		content, err := e.content(d)
		if err != nil {
			return err
		}
		n, s := e.node(d.number), shapeOf(d.size, len(d.xattrs))
		inode := encode(d.entry, n, d.number, s, d.size, blockOf(d.at), d.xattrs)
		if err := e.at(n.at, append(inode, content[len(content)-s.after:]...)); err != nil {
			return err
		}
	}
	for _, d := range e.dirs {
		content, err := e.content(d)
		if err != nil {
			return err
		}
		s := shapeOf(d.size, len(d.xattrs))
		if err := e.at(d.at, content[:len(content)-s.after]); err != nil {
			return err
		}
	}
	return e.out.SkipTo(e.files)
}

// at writes p at an offset in bytes that must not lie behind the current one. If
// p is empty, the offset does not matter.
func (e *emitter) at(at int64, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if err := e.out.SkipTo(at); err != nil {
		return err
	}
	return e.write(p)
}

func blockOf(at int64) uint32 { return uint32(at / blockSize) }

// walk writes the files.
func (e *emitter) walk() error {
	e.number = rootNumber
	if err := e.source.Walk(e.ctx, func(entry images.Entry, content io.Reader) error {
		e.entries++
		if err := e.visit(entry, content); err != nil {
			return fmt.Errorf("%s: %w", entry.Path, err)
		}
		return nil
	}); err != nil {
		return err
	}
	if e.entries != e.tree.entries {
		return fmt.Errorf("the image has %d files where there were %d: %w", e.entries, e.tree.entries, ErrChanged)
	}
	return nil
}

func (e *emitter) visit(entry images.Entry, content io.Reader) error {
	number, err := e.numberOf(entry)
	if err != nil || number == 0 || e.node(number).directory {
		return err
	}
	m := member{entry: entry, number: number}
	if m.xattrs, err = encodeXattrs(entry.Xattrs); err != nil {
		return err
	}
	m.shape = e.shape(entry, number, len(m.xattrs))
	m.at = e.group.place(m.shape)
	switch {
	case m.shape.layout == pressedLayout:
		m.spooled = e.spooled
		e.spooled += m.shape.blocks * (blockSize + 4)
	case !m.shape.large:
		if m.content, err = e.hold(entry, content); err != nil {
			return err
		}
	}
	e.members = append(e.members, m)
	if !e.group.complete(m.shape) {
		return e.ctx.Err()
	}
	return e.flush(content)
}

// numberOf returns the number of an entry's inode, or 0 for a hard link. It
// returns ErrChanged if the entry is not the one that the plan has at this point
// of the walk.
func (e *emitter) numberOf(entry images.Entry) (uint32, error) {
	if entry.Type == images.HardLink {
		if e.links++; e.links > len(e.tree.links) || e.tree.links[e.links-1] != entry.Sum() {
			return 0, ErrChanged
		}
		return 0, nil
	}
	number := uint32(rootNumber)
	if entry.Path != "/" {
		e.number++
		number = e.number
	}
	if int64(number) > int64(len(e.inodes)) || e.node(number).sum != entry.Sum() {
		return 0, ErrChanged
	}
	return number, nil
}

// hold copies the content of a small file, or the target of a symbolic link, to
// memory until its group is written.
func (e *emitter) hold(entry images.Entry, content io.Reader) ([]byte, error) {
	start := len(e.arena)
	if entry.Type == images.Symlink {
		e.arena = append(e.arena, entry.Link...)
		return e.arena[start:], nil
	}
	size := int(contentSize(entry))
	if size == 0 {
		return nil, nil
	}
	if content == nil {
		return nil, errNoContent
	}
	e.arena = append(e.arena, make([]byte, size)...)
	if _, err := io.ReadFull(content, e.arena[start:]); err != nil {
		return nil, changedIfShort(err)
	}
	return e.arena[start:], nil
}

var errNoContent = errors.New("the image gives no content for it")

// changedIfShort returns the error for a failed read. If the file ended early,
// that is ErrChanged.
func changedIfShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is shorter than it was: %w", ErrChanged)
	}
	return err
}

// flush writes the group: all inodes, then all contents. If the last file is
// large, its content is read from large.
func (e *emitter) flush(large io.Reader) error {
	data := e.group.contents()
	for i := range e.members {
		m := &e.members[i]
		if err := e.inode(m, data); err != nil {
			return err
		}
		data += m.shape.blocks * blockSize
	}
	if err := e.out.SkipTo(e.group.contents()); err != nil {
		return err
	}
	for i := range e.members {
		if err := e.contents(&e.members[i], large); err != nil {
			return err
		}
	}
	e.group.close()
	e.members, e.arena = e.members[:0], e.arena[:0]
	return e.out.SkipTo(e.group.start)
}

// inode writes a member's inode and what follows it. The content's blocks begin
// at offset data.
func (e *emitter) inode(m *member, data int64) error {
	size, what, after := contentSize(m.entry), blockOf(data), []byte(nil)
	switch {
	case m.entry.Type == images.CharDevice || m.entry.Type == images.BlockDevice:
		what = deviceNumber(m.entry.Major, m.entry.Minor)
	case m.shape.layout == pressedLayout:
		var err error
		what = uint32(m.shape.blocks)
		if after, err = e.pressedIndex(m, data); err != nil {
			return err
		}
	case m.shape.layout == chunkLayout:
		what, after = uint32(m.shape.chunkBits), e.chunks(m, data)
	case m.shape.after > 0:
		after = m.content[len(m.content)-m.shape.after:]
	}
	inode := encode(m.entry, e.node(m.number), m.number, m.shape, size, what, m.xattrs)
	return e.at(m.at, append(inode, after...))
}

// chunks returns the encoded block numbers of a file's chunks, the first of which
// is stored at offset data.
func (e *emitter) chunks(m *member, data int64) []byte {
	b := make([]byte, 0, m.shape.after)
	for c := range eachChunk(m.entry.Size, m.shape.chunkBits, e.data[m.number]) {
		if c.hole {
			b = binary.LittleEndian.AppendUint32(b, noBlock)
			continue
		}
		b = binary.LittleEndian.AppendUint32(b, blockOf(data))
		data += roundUp(c.Length, blockSize)
	}
	return b
}

// contents writes the part of a member's content that is stored in blocks.
func (e *emitter) contents(m *member, large io.Reader) error {
	if m.shape.layout == pressedLayout {
		return e.pressedContents(m)
	}
	if !m.shape.large {
		whole := m.content[:len(m.content)-m.shape.after]
		if len(whole) == 0 {
			return nil
		}
		return errors.Join(e.write(whole), e.out.SkipTo(roundUp(e.out.Pos(), blockSize)))
	}
	if large == nil {
		return errNoContent
	}
	if m.shape.layout != chunkLayout {
		return e.stream(large, m.entry.Size)
	}
	for c := range eachChunk(m.entry.Size, m.shape.chunkBits, e.data[m.number]) {
		copyPart := e.stream
		if c.hole {
			copyPart = e.hole
		}
		if err := copyPart(large, c.Length); err != nil {
			return err
		}
	}
	return nil
}

// stream copies size bytes of a large file, and skips to the end of the last
// block.
func (e *emitter) stream(r io.Reader, size int64) error {
	err := e.pieces(r, size, e.write)
	return errors.Join(err, e.out.SkipTo(roundUp(e.out.Pos(), blockSize)))
}

// hole reads a hole of size bytes. It returns ErrChanged if there is data in it.
func (e *emitter) hole(r io.Reader, size int64) error {
	return e.pieces(r, size, func(part []byte) error {
		if !sparse.IsZero(part) {
			return fmt.Errorf("a hole of it has data: %w", ErrChanged)
		}
		return nil
	})
}

// pieces reads size bytes from r and passes them to do in pieces.
func (e *emitter) pieces(r io.Reader, size int64, do func([]byte) error) error {
	if e.buf == nil {
		e.buf = make([]byte, largeFile)
	}
	for size > 0 {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		part := e.buf[:min(size, largeFile)]
		if _, err := io.ReadFull(r, part); err != nil {
			return changedIfShort(err)
		}
		if err := do(part); err != nil {
			return err
		}
		size -= int64(len(part))
	}
	return nil
}

// finish writes the last group.
func (e *emitter) finish() error {
	if err := e.flush(nil); err != nil {
		return err
	}
	if e.out.Pos() != e.size {
		return fmt.Errorf("it has %d bytes and was planned to have %d: %w", e.out.Pos(), e.size, ErrChanged)
	}
	return nil
}
