package grub

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/ulikunitz/xz/lzma"
)

// Offsets of 32-bit fields in lzma_decompress.img, and the largest size of that file.
// After the fields comes the length of the redundancy of GRUB's Reed-Solomon code. It
// stays zero, because that code protects against software that writes into unused
// sectors, and this image lies in a partition.
const (
	packedSizeAt   = 0x08
	unpackedSizeAt = 0x0c
	redundancyAt   = 0x10
	unpackerFields = 0x14
	unpackerMax    = linkAddress - loadAddress
)

// Offsets in diskboot.img. Its last twelve bytes say what to read: the first sector,
// the number of sectors, and the memory segment for them.
const (
	blockSectorAt  = 0x1f4
	blockLengthAt  = 0x1fc
	blockSegmentAt = 0x1fe
)

// dictionarySize is the size that GRUB's own images use.
const dictionarySize = 1 << 16

// pack returns the unpacking code followed by the compressed data.
func (c Core) pack(memory []byte) ([]byte, error) {
	unpacker, err := c.read("lzma_decompress.img")
	if err != nil {
		return nil, err
	}
	if len(unpacker) < unpackerFields || len(unpacker) > unpackerMax {
		return nil, fmt.Errorf("lzma_decompress.img has %d bytes, but should have at most %d: use the file of this name from GRUB", len(unpacker), unpackerMax)
	}
	packed, err := compress(memory)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	body := append(bytes.Clone(unpacker), packed...)
	binary.LittleEndian.PutUint32(body[packedSizeAt:], uint32(len(packed)))
	binary.LittleEndian.PutUint32(body[unpackedSizeAt:], uint32(len(memory)))
	binary.LittleEndian.PutUint32(body[redundancyAt:], 0)
	return body, nil
}

// compress makes a raw LZMA stream with the properties that GRUB's code requires:
// lc 3, lp 0, pb 2, no header, no end mark.
func compress(content []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := lzma.WriterConfig{
		Properties: &lzma.Properties{LC: 3, LP: 0, PB: 2},
		DictCap:    dictionarySize, Matcher: lzma.HashTable4, Size: int64(len(content)),
	}.NewWriter(&out)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes()[lzma.HeaderLen:], nil
}

// firstSector returns diskboot.img with the number of sectors that follow it.
func (c Core) firstSector(body int) ([]byte, error) {
	b, err := c.read("diskboot.img")
	if err != nil {
		return nil, err
	}
	if len(b) != sectorSize || binary.LittleEndian.Uint16(b[blockSegmentAt:]) != loadAddress>>4 {
		return nil, fmt.Errorf("diskboot.img is not a sector of code that reads to %#x: use the file of this name from GRUB", loadAddress)
	}
	first := bytes.Clone(b)
	binary.LittleEndian.PutUint16(first[blockLengthAt:], uint16((body+sectorSize-1)/sectorSize))
	return first, nil
}
