package ext4

import "encoding/binary"

// Sizes that all filesystems of this package share.
const (
	blockSize     = 4096
	inodeSize     = 256
	extraSize     = 32 // i_extra_isize: all fields after the first 128 bytes
	descSize      = 64
	groupBlocks   = 8 * blockSize // blocks that one bitmap block describes
	sectorsABlock = blockSize / 512
	inodesABlock  = blockSize / inodeSize
	descsABlock   = blockSize / descSize
)

// Reserved inode numbers, and the first number that is not reserved.
const (
	rootInode      = 2
	resizeInode    = 7
	journalInode   = 8
	lostFoundInode = 11
	reservedInodes = 10
)

// Features, in the superblock's three words.
const (
	compatJournal     = 0x4
	compatXattr       = 0x8
	compatResizeInode = 0x10
	compatDirIndex    = 0x20

	incompatFiletype = 0x2
	incompatMetaBG   = 0x10
	incompatExtents  = 0x40
	incompat64bit    = 0x80
	incompatFlexBG   = 0x200

	roSparseSuper  = 0x1
	roLargeFile    = 0x2
	roHugeFile     = 0x8
	roDirNlink     = 0x20
	roExtraIsize   = 0x40
	roMetadataCsum = 0x400
)

// File types in i_mode.
const (
	modeFIFO    = 0x1000
	modeChar    = 0x2000
	modeDir     = 0x4000
	modeBlock   = 0x6000
	modeRegular = 0x8000
	modeSymlink = 0xa000
	modeType    = 0xf000
)

// Inode flags.
const (
	flagIndex   = 0x1000
	flagExtents = 0x80000
)

// Flags of a group.
const (
	groupInodeUninit = 0x1 // the inode bitmap and table were never written
	groupBlockUninit = 0x2 // the block bitmap follows from the layout alone
	groupTableZeroed = 0x4 // the unused part of the inode table is zero
)

// maxLinks is how many names a file may have. A directory with more subdirectories
// has a link count of 1 (dir_nlink).
const maxLinks = 65000

// direntType returns the file type in a directory entry for a mode.
func direntType(mode uint16) byte {
	switch mode & modeType {
	case modeRegular:
		return 1
	case modeDir:
		return 2
	case modeChar:
		return 3
	case modeBlock:
		return 4
	case modeFIFO:
		return 5
	case modeSymlink:
		return 7
	}
	return 0
}

// record is an encoded structure of the format. Its fields are little-endian.
type record []byte

func (r record) put8(off int, v uint8)   { r[off] = v }
func (r record) put16(off int, v uint16) { binary.LittleEndian.PutUint16(r[off:], v) }
func (r record) put32(off int, v uint32) { binary.LittleEndian.PutUint32(r[off:], v) }
func (r record) put64(off int, v uint64) { binary.LittleEndian.PutUint64(r[off:], v) }

// split writes the low and the high 32 bits of a number at two offsets.
func (r record) split(lo, hi int, v int64) {
	r.put32(lo, uint32(v))
	r.put32(hi, uint32(v>>32))
}

// split16 is like split for halves of 16 bits.
func (r record) split16(lo, hi int, v uint32) {
	r.put16(lo, uint16(v))
	r.put16(hi, uint16(v>>16))
}

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

func roundUp(a, b int64) int64 { return ceilDiv(a, b) * b }
