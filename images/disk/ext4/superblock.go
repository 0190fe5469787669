package ext4

const (
	superOffset   = 1024 // in the first block; copies are at the beginning of theirs
	superSize     = 1024
	superMagic    = 0xef53
	superChecksum = 0x3fc
)

// superblock returns the block that contains a copy of the superblock.
func (l *Layout) superblock(group int64) []byte {
	block := make(record, blockSize)
	r := block[:superSize]
	if group == 0 {
		r = block[superOffset : superOffset+superSize]
	}
	l.putCounts(r)
	l.putShape(r)
	l.putFeatures(r)
	l.putIdentity(r)
	l.putTimes(r)
	l.putJournal(r)
	r.put16(0x5a, uint16(group))
	r.put32(superChecksum, checksum(^uint32(0), r[:superChecksum]))
	return block
}

func (l *Layout) putCounts(r record) {
	inodes := l.groups * l.inodesPerGroup
	r.put32(0x00, uint32(inodes))
	r.split(0x04, 0x150, l.blocks)
	r.split(0x08, 0x154, l.blocks/100*int64(l.opts.ReservedPercent))
	r.split(0x0c, 0x158, l.spare)
	r.put32(0x10, uint32(inodes-l.tree.last()))
}

func (l *Layout) putShape(r record) {
	r.put32(0x18, 2) // blocks are 1024 << 2 bytes
	r.put32(0x1c, 2) // clusters likewise
	r.put32(0x20, groupBlocks)
	r.put32(0x24, groupBlocks)
	r.put32(0x28, uint32(l.inodesPerGroup))
	r.put32(0x54, lostFoundInode) // the first inode that is not reserved
	r.put16(0x58, inodeSize)
	r.put16(0xce, uint16(l.growBlocks))
	r.put16(0xfe, descSize)
	r.put16(0x15c, extraSize) // at least, and wanted
	r.put16(0x15e, extraSize)
	for l.flex>>r[0x174] > 1 {
		r[0x174]++ // the logarithm of a flexible group's length
	}
}

func (l *Layout) putFeatures(r record) {
	compat := uint32(compatXattr | compatDirIndex)
	if l.journal > 0 {
		compat |= compatJournal
	}
	if l.growBlocks > 0 {
		compat |= compatResizeInode
	}
	r.put32(0x5c, compat)
	incompat := uint32(incompatFiletype | incompatExtents | incompat64bit | incompatFlexBG)
	if l.spread {
		incompat |= incompatMetaBG
	}
	r.put32(0x60, incompat)
	r.put32(0x64, roSparseSuper|roLargeFile|roHugeFile|roDirNlink|roExtraIsize|roMetadataCsum)
	r.put32(0x100, 0xc) // mount with user.* attributes and ACLs
	r.put8(0xfc, hashHalfMD4)
	r.put32(0x160, 2) // hashes take bytes as unsigned
	r.put8(0x175, 1)  // checksums are CRC32c
}

func (l *Layout) putIdentity(r record) {
	r.put16(0x38, superMagic)
	r.put32(0x4c, 1) // revision: features and inode sizes vary
	copy(r[0x68:0x78], l.opts.UUID[:])
	copy(r[0x78:0x88], l.opts.Label)
	copy(r[0xec:0xfc], l.opts.HashSeed[:])
}

func (l *Layout) putTimes(r record) {
	now := max(0, l.made.unix())
	for _, f := range []struct{ low, high int }{
		{0x30, 0x274},  // written
		{0x40, 0x277},  // checked
		{0x108, 0x276}, // made
	} {
		r.put32(f.low, uint32(now))
		r.put8(f.high, uint8(now>>32))
	}
	r.put16(0x36, 0xffff) // no check after some number of mounts
	r.put16(0x3a, 1)      // unmounted cleanly
	r.put16(0x3c, 1)      // go on after errors
}

// putJournal writes the journal's inode number, and a copy of its inode's map.
func (l *Layout) putJournal(r record) {
	if l.journal == 0 {
		return
	}
	n := l.tree.inode(journalInode)
	m := l.mapInode(n)
	root := m.root()
	r.put32(0xe0, journalInode)
	r.put8(0xfd, 1) // what the copy is of: map and size
	copy(r[0x10c:], root[:])
	r.split(0x10c+64, 0x10c+60, n.size)
}
