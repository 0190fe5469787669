package vdisk

import (
	"bytes"
	"encoding/binary"
)

const (
	vhdBlock  = 2 * mib
	vhdTable  = 3 * sector // offset of the block table, after a footer and a header
	vhdAbsent = 0xffffffff
)

// vhd writes a dynamic disk: a copy of the footer, header, block table, blocks in the
// order in which content for them arrives, footer. The parts before the blocks are
// written last.
type vhd struct {
	blocks
	file    File
	footer  []byte
	sectors []uint32 // the sector of each block
}

func newVHDDynamic(t target, o Options) (container, error) {
	file, err := t.file()
	if err != nil {
		return nil, err
	}
	v := &vhd{
		file:    file,
		footer:  newVHDFooter(vhdDynamic, sector, t.size, o),
		sectors: make([]uint32, pieces(t.size, vhdBlock)),
	}
	for i := range v.sectors {
		v.sectors[i] = vhdAbsent
	}
	first := roundUp(vhdTable+int64(len(v.sectors))*4, sector)
	v.blocks = blocks{file: file, size: vhdBlock, lead: sector, next: first, opened: v.opened}
	return v, nil
}

// opened records a block's sector, and marks all sectors of the block as present.
// Sectors that are not written are zeros.
func (v *vhd) opened(index, at int64) error {
	v.sectors[index] = uint32(at / sector)
	_, err := v.file.WriteAt(bytes.Repeat([]byte{0xff}, sector), at)
	return err
}

// vhdHeader is the header of a dynamic disk without a parent.
type vhdHeader struct {
	Cookie                  [8]byte
	DataOffset, TableOffset uint64
	Version, Entries        uint32
	BlockSize, Checksum     uint32
	_                       [16 + 8 + 512 + 8*24 + 256]byte
}

func (v *vhd) header() []byte {
	h := vhdHeader{
		DataOffset: vhdNowhere, TableOffset: vhdTable, Version: vhdVersion,
		Entries: uint32(len(v.sectors)), BlockSize: vhdBlock,
	}
	copy(h.Cookie[:], "cxsparse")
	h.Checksum = vhdChecksum(encode(binary.BigEndian, h))
	return encode(binary.BigEndian, h)
}

func (v *vhd) finish() error {
	table := bytes.Repeat([]byte{0xff}, int(roundUp(int64(len(v.sectors))*4, sector)))
	copy(table, encode(binary.BigEndian, v.sectors))
	front := append(append(bytes.Clone(v.footer), v.header()...), table...)
	if _, err := v.file.WriteAt(v.footer, v.next); err != nil {
		return err
	}
	_, err := v.file.WriteAt(front, 0)
	return err
}
