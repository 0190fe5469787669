package vdisk

import "encoding/binary"

const (
	vdiBlock  = mib
	vdiAbsent = 0xffffffff // in the block map: zeros
	vdiMap    = sector     // offset of the block map
)

// vdi writes a dynamic image of VirtualBox: header, block map, and blocks in the order
// in which content for them arrives. The header is written last.
type vdi struct {
	blocks
	file File
	disk int64 // its size
	id   [16]byte
	used uint32
	list []uint32 // the block map
}

func newVDI(t target, o Options) (container, error) {
	file, err := t.file()
	if err != nil {
		return nil, err
	}
	v := &vdi{file: file, disk: t.size, id: o.ID, list: make([]uint32, pieces(t.size, vdiBlock))}
	for i := range v.list {
		v.list[i] = vdiAbsent
	}
	v.blocks = blocks{file: file, size: vdiBlock, next: v.content(), opened: v.opened}
	return v, nil
}

// content is the offset of the first block.
func (v *vdi) content() int64 {
	return roundUp(vdiMap+int64(len(v.list))*4, vdiBlock)
}

func (v *vdi) opened(index, _ int64) error {
	v.list[index] = v.used
	v.used++
	return nil
}

// vdiHeader is a header of version 1.1. Sizes are in bytes.
type vdiHeader struct {
	Text                       [64]byte
	Signature, Version         uint32
	HeaderSize, Kind, Flags    uint32
	Description                [256]byte
	MapOffset, ContentOffset   uint32
	Cylinders, Heads, Sectors  uint32
	SectorSize                 uint32
	_                          uint32
	DiskSize                   uint64
	BlockSize, BlockExtra      uint32
	Blocks, UsedBlocks         uint32
	ID, LastChange             [16]byte
	Parent, ParentChange       [16]byte
	BIOSCylinders, BIOSHeads   uint32 // 0 means that VirtualBox chooses a geometry
	BIOSSectors, BIOSectorSize uint32
	_                          [40]byte
}

func (v *vdi) finish() error {
	if err := v.file.Truncate(v.next); err != nil {
		return err
	}
	if _, err := v.file.WriteAt(encode(binary.LittleEndian, v.list), vdiMap); err != nil {
		return err
	}
	_, err := v.file.WriteAt(encode(binary.LittleEndian, v.header()), 0)
	return err
}

func (v *vdi) header() vdiHeader {
	const heads, sectors = 16, 63
	h := vdiHeader{
		Signature: 0xbeda107f, Version: 1<<16 | 1, HeaderSize: 400,
		Kind:      1, // dynamic
		MapOffset: vdiMap, ContentOffset: uint32(v.content()),
		Cylinders: uint32(max(1, min(16383, v.disk/sector/(heads*sectors)))), Heads: heads, Sectors: sectors,
		SectorSize: sector, DiskSize: uint64(v.disk), BlockSize: vdiBlock,
		Blocks: uint32(len(v.list)), UsedBlocks: v.used,
		ID: mixed(v.id), LastChange: mixed(derived(v.id, "vdi last change")),
	}
	copy(h.Text[:], "<<< Oracle VM VirtualBox Disk Image >>>\n")
	return h
}
