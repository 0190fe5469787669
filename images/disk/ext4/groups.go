package ext4

import "bytes"

// usedInodes is how many inodes of a group are in use: the first ones.
func (l *Layout) usedInodes(group int64) int64 {
	return min(max(l.tree.last()-group*l.inodesPerGroup, 0), l.inodesPerGroup)
}

// untouched says that nothing is in a group but its prefix, which the kernel
// knows by itself. The last group's end has to be told in any case.
func (l *Layout) untouched(group int64) bool {
	return group > 0 && group < l.groups-1 && l.flexGroups(group) == 0 &&
		l.used <= group*groupBlocks+l.prefix(group)
}

// bitmap is one block of bits.
type bitmap [blockSize]byte

// ones are bits to copy from.
var ones = bitmap(bytes.Repeat([]byte{0xff}, blockSize))

// putBlocks marks the blocks of a group that are in use or do not exist.
func (b *bitmap) putBlocks(l *Layout, group int64) {
	start := group * groupBlocks
	length := l.end(group) - start
	clear(b[:])
	b.set(0, min(max(l.prefix(group), l.used-start), length))
	b.set(length, groupBlocks)
}

// putInodes does the same with inodes.
func (b *bitmap) putInodes(l *Layout, group int64) {
	clear(b[:])
	b.set(0, l.usedInodes(group))
	b.set(l.inodesPerGroup, groupBlocks)
}

// set sets the bits from one to before another, lowest first.
func (b *bitmap) set(from, to int64) {
	for ; from < to && from%8 != 0; from++ {
		b[from/8] |= 1 << (from % 8)
	}
	if whole := to / 8; from/8 < whole {
		copy(b[from/8:whole], ones[:])
		from = whole * 8
	}
	for ; from < to; from++ {
		b[from/8] |= 1 << (from % 8)
	}
}

// descriptors is the table of all groups.
func (l *Layout) descriptors() []byte {
	dirs := make([]uint32, l.groups)
	for i := range l.tree.dirs.Len() {
		d := l.tree.dirs.At(i)
		dirs[int64(d.ino-1)/l.inodesPerGroup]++
	}
	table := make([]byte, l.descBlocks*blockSize)
	var bits bitmap
	for group := range l.groups {
		l.descriptor(table[group*descSize:(group+1)*descSize], group, dirs[group], &bits)
	}
	return table
}

// descriptor encodes one group's; bits is room for its bitmaps.
func (l *Layout) descriptor(r record, group int64, dirs uint32, bits *bitmap) {
	at, unused := l.tables(group), uint32(l.inodesPerGroup-l.usedInodes(group))
	r.split(0x00, 0x20, at.blockBitmap)
	r.split(0x04, 0x24, at.inodeBitmap)
	r.split(0x08, 0x28, at.inodeTable)
	r.split16(0x0c, 0x2c, uint32(l.free(group, l.used)))
	r.split16(0x0e, 0x2e, unused) // free inodes
	r.split16(0x10, 0x30, dirs)
	r.split16(0x1c, 0x32, unused) // of the table's end
	var flags uint16
	if l.untouched(group) {
		flags |= groupBlockUninit
	} else {
		bits.putBlocks(l, group)
		r.split16(0x18, 0x38, checksum(l.seed, bits[:]))
	}
	if l.usedInodes(group) == 0 {
		flags |= groupInodeUninit
	} else {
		bits.putInodes(l, group)
		r.split16(0x1a, 0x3a, checksum(l.seed, bits[:l.inodesPerGroup/8]))
	}
	if !l.opts.Stale {
		flags |= groupTableZeroed
	}
	r.put16(0x12, flags)
	r.put16(0x1e, uint16(checksum(checksum32(l.seed, uint32(group)), r)))
}
