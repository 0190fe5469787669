package grub

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/ulikunitz/xz/lzma"
)

// Places in lzma_decompress.img, all 32 bits wide, and what it may take of
// memory. Behind them is how long the redundancy of GRUB's Reed-Solomon code
// is, which stays zero: that code protects against software that writes into
// a disk's unused sectors, and this image has a partition of its own.
const (
	packedSizeAt   = 0x08
	unpackedSizeAt = 0x0c
	redundancyAt   = 0x10
	unpackerFields = 0x14
	unpackerMax    = linkAddress - loadAddress
)

// Places in diskboot.img. Its last twelve bytes say what to read: the first
// sector, how many, and to which segment.
const (
	blockSectorAt  = 0x1f4
	blockLengthAt  = 0x1fc
	blockSegmentAt = 0x1fe
)

// dictionarySize is that of GRUB's own images.
const dictionarySize = 1 << 16

// pack is the code that unpacks, and what it unpacks.
func (c Core) pack(memory []byte) ([]byte, error) {
	unpacker, err := c.read("lzma_decompress.img")
	if err != nil {
		return nil, err
	}
	if len(unpacker) < unpackerFields || len(unpacker) > unpackerMax {
		return nil, fmt.Errorf("lzma_decompress.img has %d bytes, and should have %d at most: take GRUB's", len(unpacker), unpackerMax)
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

// compress makes a bare LZMA stream with the properties that are built into
// GRUB's code: lc 3, lp 0, pb 2, no header, no mark at the end.
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

// firstSector is diskboot.img, told how many sectors follow it.
func (c Core) firstSector(body int) ([]byte, error) {
	b, err := c.read("diskboot.img")
	if err != nil {
		return nil, err
	}
	if len(b) != sectorSize || binary.LittleEndian.Uint16(b[blockSegmentAt:]) != loadAddress>>4 {
		return nil, fmt.Errorf("diskboot.img is not the sector that reads to %#x: take GRUB's", loadAddress)
	}
	first := bytes.Clone(b)
	binary.LittleEndian.PutUint16(first[blockLengthAt:], uint16((body+sectorSize-1)/sectorSize))
	return first, nil
}
