package vdisk

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unicode/utf16"
)

// Offsets of the parts of a vhdx. Section 2.2 of MS-VHDX fixes those in the first MiB.
// The others may be chosen freely.
const (
	vhdxHeader1  = 64 * kib
	vhdxHeader2  = 128 * kib
	vhdxRegions1 = 192 * kib
	vhdxRegions2 = 256 * kib
	vhdxLog      = 1 * mib
	vhdxMetadata = 2 * mib
	vhdxTable    = 3 * mib // the block allocation table
)

const (
	vhdxBlock         = 32 * mib // the default
	vhdxMinBlock      = 1 * mib
	vhdxSectorsMapped = 1 << 23 // by one sector bitmap
	vhdxZero          = 2       // state of a block: reads as zeros
	vhdxPresent       = 6       // state of a block: all of it is in the file
)

// vhdx writes a dynamic disk with an empty log. The identifier at the front is
// written last.
type vhdx struct {
	blocks
	file  File
	disk  int64
	id    [16]byte
	table []uint64
}

func newVHDX(t target, o Options) (container, error) {
	block := o.BlockSize
	if block == 0 {
		block = vhdxBlock
	}
	if block < vhdxMinBlock || block > vhdxBlock || block&(block-1) != 0 {
		return nil, fmt.Errorf("blocks of %d bytes: choose a power of two from %d to %d", block, vhdxMinBlock, vhdxBlock)
	}
	file, err := t.file()
	if err != nil {
		return nil, err
	}
	v := &vhdx{file: file, disk: t.size, id: o.ID}
	v.blocks = blocks{file: file, size: block, opened: v.opened}
	v.table = v.emptyTable()
	v.next = vhdxTable + v.tableSize()
	return v, nil
}

// emptyTable returns the table of a disk of zeros. After a fixed number of entries for
// blocks comes an entry for their sector bitmap, which only a disk with a parent uses.
func (v *vhdx) emptyTable() []uint64 {
	count := pieces(v.disk, v.size)
	table := make([]uint64, v.entry(count-1)+1)
	for i := range count {
		table[v.entry(i)] = vhdxZero
	}
	return table
}

// entry returns the index of a block's entry.
func (v *vhdx) entry(index int64) int64 {
	return index + index/(vhdxSectorsMapped*sector/v.size)
}

func (v *vhdx) tableSize() int64 {
	return roundUp(int64(len(v.table))*8, mib)
}

// opened records a block's offset. The format has the offset in MiB from bit 20 on,
// which equals the offset in bytes.
func (v *vhdx) opened(index, at int64) error {
	v.table[v.entry(index)] = uint64(at) | vhdxPresent
	return nil
}

func (v *vhdx) finish() error {
	if err := v.file.Truncate(v.next); err != nil {
		return err
	}
	regions := v.regions()
	for _, part := range []struct {
		at   int64
		data []byte
	}{
		{vhdxTable, encode(binary.LittleEndian, v.table)},
		{vhdxMetadata, v.metadata()},
		{vhdxRegions2, regions}, {vhdxRegions1, regions},
		{vhdxHeader2, v.header(1)}, {vhdxHeader1, v.header(0)},
		{0, vhdxIdentifier()},
	} {
		if _, err := v.file.WriteAt(part.data, part.at); err != nil {
			return err
		}
	}
	return nil
}

// vhdxIdentifier is the signature and, in UTF-16, the name of the creator.
func vhdxIdentifier() []byte {
	return append([]byte("vhdxfile"), encode(binary.LittleEndian, utf16.Encode([]rune("cloudlets")))...)
}

// vhdxHeader is one of two headers. The header with the higher sequence number is
// valid.
type vhdxHeader struct {
	Signature            [4]byte
	Checksum             uint32
	Sequence             uint64
	FileWrite, DataWrite [16]byte
	Log                  [16]byte // zeros mean that the log is empty
	LogVersion, Version  uint16
	LogLength            uint32
	LogOffset            uint64
	_                    [4016]byte
}

func (v *vhdx) header(sequence uint64) []byte {
	return vhdxSummed(encode(binary.LittleEndian, vhdxHeader{
		Signature: [4]byte{'h', 'e', 'a', 'd'}, Sequence: sequence,
		FileWrite: mixed(derived(v.id, "vhdx file write")), DataWrite: mixed(derived(v.id, "vhdx data write")),
		Version: 1, LogLength: mib, LogOffset: vhdxLog,
	}))
}

// vhdxSummed fills in the checksum of a header or region table.
func vhdxSummed(data []byte) []byte {
	binary.LittleEndian.PutUint32(data[4:], crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)))
	return data
}

// vhdxRegion says where a region lies, and whether a reader must understand it.
type vhdxRegion struct {
	Kind     [16]byte
	Offset   uint64
	Length   uint32
	Required uint32
}

// regions returns the region table. Its checksum covers all of its 64 KiB.
func (v *vhdx) regions() []byte {
	table := struct {
		Signature          [4]byte
		Checksum, Count, _ uint32
		Regions            [2]vhdxRegion
	}{
		Signature: [4]byte{'r', 'e', 'g', 'i'}, Count: 2,
		Regions: [2]vhdxRegion{
			{guid("2dc27766-f623-4200-9d64-115e9bfd4a08"), vhdxTable, uint32(v.tableSize()), 1},
			{guid("8b7ca206-4790-4b9a-b8fe-575f050f886e"), vhdxMetadata, mib, 1},
		},
	}
	data := encode(binary.LittleEndian, table)
	return vhdxSummed(append(data, make([]byte, 64*kib-len(data))...))
}
