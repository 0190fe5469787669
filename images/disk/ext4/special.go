package ext4

import "encoding/binary"

// The resize inode owns the blocks that are reserved for more group descriptors. It
// uses a block map instead of extents: one block of pointers to the reserved blocks
// of the first copy, which in turn point to the same blocks in the other copies.
const (
	doubleSlot = 13 // of i_block
	directOnes = 12
)

// resizeFields returns the fields of the resize inode.
func (l *Layout) resizeFields() fields {
	f := fields{inode: inode{
		mode: modeRegular | 0o600, links: 1, mtime: l.made,
		size: (directOnes + pointersABlock + pointersABlock*pointersABlock) * blockSize,
	}}
	f.blocks = 1 + l.growBlocks*int64(1+len(l.backups()))
	binary.LittleEndian.PutUint32(f.root[4*doubleSlot:], uint32(l.double))
	return f
}

// doubleBlock encodes the pointers to the reserved blocks after the descriptors.
func (l *Layout) doubleBlock() []byte {
	r := make(record, blockSize)
	for i := range l.growBlocks {
		slot := (l.descBlocks + i) % pointersABlock
		r.put32(int(4*slot), uint32(1+l.descBlocks+i))
	}
	return r
}

// putReserved encodes the pointers to the copies of one reserved block.
func (l *Layout) putReserved(r record, i int64, backups []int64) {
	clear(r)
	for n, group := range backups {
		r.put32(4*n, uint32(group*groupBlocks+1+l.descBlocks+i))
	}
}

// journalSuper is the first block of the journal, which is empty. Its fields
// are big-endian.
func (l *Layout) journalSuper() []byte {
	r := make([]byte, blockSize)
	for off, v := range map[int]uint32{
		0x00: 0xc03b3998,
		0x04: 4, // a superblock of version 2
		0x0c: blockSize,
		0x10: uint32(l.journal),
		0x14: 1,               // the log begins in this block,
		0x18: l.transaction(), // with this transaction,
		0x40: 1,               // and serves one filesystem
	} {
		binary.BigEndian.PutUint32(r[off:], v)
	}
	copy(r[0x30:], l.opts.UUID[:])
	return r
}

// transaction returns the number of the journal's first transaction. If the log may
// contain old bytes, the number is one of many, so that an old transaction is not
// mistaken for the next one. The transaction's checksum would detect that, but
// older kernels then refuse to mount.
func (l *Layout) transaction() uint32 {
	if !l.opts.LazyJournal {
		return 1
	}
	id := derive(l.opts.UUID[:], "journal")
	return max(1, binary.LittleEndian.Uint32(id[:])>>1)
}
