package tarball

import (
	"io"

	"cloudlets/images"
)

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
