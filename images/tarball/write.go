package tarball

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"

	"cloudlets/images"
)

// outputSize is how much of a tarball is collected before it is written.
const outputSize = 256 << 10

// Write writes all of src as a POSIX tar stream with its end mark: owners
// as numbers, times to the nanosecond, extended attributes as GNU tar writes
// them. Names are bytes, and come out of any tar as they went in. Where a source
// knows the holes of a file ([images.Sparse]) and they are 1 MiB or more, they
// are left out as "tar --sparse" does it in GNU's format. The same source gives
// the same stream.
func Write(ctx context.Context, w io.Writer, src images.Source) error {
	t := newWriter(w)
	err := src.Walk(ctx, func(e images.Entry, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.add(e, content); err != nil {
			return fmt.Errorf("write %s to the tarball: %w", e.Path, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := t.end(); err != nil {
		return fmt.Errorf("write the end of the tarball: %w", err)
	}
	return nil
}

// writer writes a tar stream. Its buffer takes content straight from
// where it is read.
type writer struct {
	w      *bufio.Writer
	header headerEncoder
	zeros  [2 * blockSize]byte
}

// newWriter writes to w. It hides w's other methods, because a ReadFrom of w
// would read in small pieces.
func newWriter(w io.Writer) *writer {
	return &writer{w: bufio.NewWriterSize(struct{ io.Writer }{w}, outputSize)}
}

// add writes one file.
func (t *writer) add(e images.Entry, content io.Reader) error {
	data, err := holesOf(e, content)
	if err != nil {
		return err
	}
	if data != nil {
		return t.addSparse(e, content, data)
	}
	blocks, err := t.header.encode(e)
	if err != nil {
		return err
	}
	if _, err := t.w.Write(blocks); err != nil {
		return err
	}
	if e.Type != images.Regular || e.Size == 0 {
		return nil
	}
	if err := t.copy(content, e.Size); err != nil {
		return err
	}
	_, err = t.w.Write(t.zeros[:padding(e.Size)])
	return err
}

// copy writes so many bytes of a content.
func (t *writer) copy(content io.Reader, size int64) error {
	n, err := t.w.ReadFrom(io.LimitReader(content, size))
	if err == nil && n < size {
		err = fmt.Errorf("it has %d bytes of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	return err
}

// end writes the end mark.
func (t *writer) end() error {
	if _, err := t.w.Write(t.zeros[:]); err != nil {
		return err
	}
	return t.w.Flush()
}

// padding is what is missing to a whole block.
func padding(size int64) int64 { return -size & (blockSize - 1) }

// WriteOverlay writes the overlay's files as a tar archive, which may be
// extracted over a copy of the image.
func WriteOverlay(o images.Overlay, w io.Writer) error {
	t := newWriter(w)
	for _, f := range o {
		if f.Type != images.Regular {
			return fmt.Errorf("write overlay: %s is not a regular file", f.Path)
		}
		f.Size = int64(len(f.Content))
		if err := t.add(f.Entry, bytes.NewReader(f.Content)); err != nil {
			return fmt.Errorf("write overlay: %s: %w", f.Path, err)
		}
	}
	if err := t.end(); err != nil {
		return fmt.Errorf("write overlay: %w", err)
	}
	return nil
}

// minHoles is how many bytes of holes make it worth to leave them out. Some
// tools, such as that of busybox, do not read sparse files.
const minHoles = 1 << 20

// Where GNU's sparse header has what the standard's has not, and the blocks that
// follow it (GNU tar's manual, "Basic Tar Format").
var (
	extendedField = field{482, 1}
	realSizeField = field{483, 12}
	moreField     = field{504, 1}
)

const (
	mapAt       = 386 // of the first part in the header
	partSize    = 24
	headerParts = 4
	blockParts  = 21
)

// holesOf lists the parts of a file's content that are not holes. It is nil if
// there is too little in holes.
func holesOf(e images.Entry, content io.Reader) ([]images.Extent, error) {
	sparse, ok := content.(images.Sparse)
	if e.Type != images.Regular || e.Size < minHoles || !ok {
		return nil, nil
	}
	data, err := sparse.Data()
	if err != nil || data == nil || e.Size-sizeOf(data) < minHoles {
		return nil, err
	}
	return data, nil
}

func sizeOf(data []images.Extent) int64 {
	var size int64
	for _, part := range data {
		size += part.Size
	}
	return size
}

// addSparse writes a file without its holes.
func (t *writer) addSparse(e images.Entry, content io.Reader, data []images.Extent) error {
	blocks, err := t.header.encodeAs(e, data)
	if err != nil {
		return err
	}
	if _, err := t.w.Write(blocks); err != nil {
		return err
	}
	at := int64(0)
	for _, part := range data {
		if err := content.(images.Sparse).Skip(part.Offset - at); err != nil {
			return err
		}
		if err := t.copy(content, part.Size); err != nil {
			return err
		}
		at = part.Offset + part.Size
	}
	_, err = t.w.Write(t.zeros[:padding(sizeOf(data))])
	return err
}

// finishSparse writes what a sparse file's header has besides, and returns the
// blocks that follow it with the rest of the parts. A file that ends with a hole
// has an empty part at its end.
func finishSparse(block []byte, size int64, data []images.Extent) []byte {
	if last := len(data) - 1; last < 0 || data[last].Offset+data[last].Size < size {
		data = append(data[:last+1:last+1], images.Extent{Offset: size})
	}
	realSizeField.put(block, size)
	data = putParts(block[mapAt:], data, headerParts)
	if len(data) > 0 {
		extendedField.of(block)[0] = 1
	}
	finishBlock(block, 'S')
	magicField.putText(block, "ustar  \x00")
	putChecksum(block)
	var rest []byte
	for len(data) > 0 {
		rest = append(rest, make([]byte, blockSize)...)
		next := rest[len(rest)-blockSize:]
		if data = putParts(next, data, blockParts); len(data) > 0 {
			moreField.of(next)[0] = 1
		}
	}
	return rest
}

// putParts writes as many parts as there is room for, and returns the others.
func putParts(to []byte, data []images.Extent, room int) []images.Extent {
	n := min(room, len(data))
	for i, part := range data[:n] {
		field{i * partSize, partSize / 2}.put(to, part.Offset)
		field{i*partSize + partSize/2, partSize / 2}.put(to, part.Size)
	}
	return data[n:]
}
