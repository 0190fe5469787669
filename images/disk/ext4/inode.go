package ext4

import (
	"math"
	"time"

	"cloudlets/images"
)

// inode holds what is kept of a file between the two walks. It is small because
// there may be millions of them. The other fields of the format are derived when
// the inode is written.
type inode struct {
	// size is in bytes; of a device it is the number, encoded.
	size int64
	// start is the first block that is the file's own: data, tree and all
	// others follow it without gaps. Of a short symlink it is the place of
	// its target among all targets.
	start    int64
	sum      uint64 // of the entry, to notice changes
	mtime    stamp
	uid, gid uint32
	extra    uint32 // index in tree.extras plus 1; 0 if there is none
	mode     uint16
	links    uint16 // of a directory no more than maxLinks
}

// extra holds what only few files have.
type extra struct {
	inline string // extended attributes in the inode, encoded
	block  string // those in a block, encoded but for its checksum
	at     int64  // number of that block
	target string // of a symlink too long for the inode
	// data are the parts of a file that has holes; nil is all of it.
	data []segment
	// indexed says that a directory has an index of hashes.
	indexed bool
}

// segment is a part of a file that contains data, in blocks.
type segment struct{ logical, count int64 }

// shortLink is the length from which on a symlink's target needs a block.
const shortLink = 60

func (n *inode) is(kind uint16) bool { return n.mode&modeType == kind }

// blocks returns the number of a file's blocks if it has no holes.
func (n *inode) blocks() int64 { return ceilDiv(n.size, blockSize) }

// hasBlocks reports whether the data of an inode lies in blocks.
func (n *inode) hasBlocks() bool {
	switch n.mode & modeType {
	case modeRegular, modeDir:
		return true
	case modeSymlink:
		return n.size >= shortLink
	}
	return false
}

// newInode makes an inode from an entry. Its size, link count and blocks are set
// later.
func newInode(e images.Entry) inode {
	return inode{
		mode: uint16(e.Mode&0o7777) | modeOf(e.Type), uid: e.UID, gid: e.GID, links: 1, mtime: newStamp(e.ModTime),
	}
}

// linkDirectory counts one more name of a directory, up to the format's limit.
func (n *inode) linkDirectory() { n.links = min(n.links+1, maxLinks) }

func modeOf(t images.Type) uint16 {
	switch t {
	case images.Directory:
		return modeDir
	case images.Symlink:
		return modeSymlink
	case images.CharDevice:
		return modeChar
	case images.BlockDevice:
		return modeBlock
	case images.FIFO:
		return modeFIFO
	default:
		return modeRegular
	}
}

// The times that an inode can tell: 32 bits with sign, and two more above, of
// which the highest value is not used: e2fsck takes it for the mark that old
// kernels left on times before 1970.
const (
	firstSecond = math.MinInt32
	lastSecond  = math.MinInt32 + 3<<32 - 1
)

// stamp is a time in an inode's form, in two words: the lower 32 bits of the
// seconds since 1970, and the nanoseconds with two more bits of the seconds. The
// zero value is 1970.
type stamp struct{ seconds, extra uint32 }

// newStamp converts a time, limited to the years 1901 to 2310. The zero time
// becomes 1970.
func newStamp(t time.Time) stamp {
	if t.IsZero() {
		return stamp{}
	}
	seconds, nanos := t.Unix(), uint32(t.Nanosecond())
	if seconds < firstSecond || seconds > lastSecond {
		seconds, nanos = min(max(seconds, firstSecond), lastSecond), 0
	}
	epoch := uint32((seconds-int64(int32(seconds)))>>32) & 3
	return stamp{uint32(seconds), nanos<<2 | epoch}
}

// unix is the time in seconds since 1970.
func (s stamp) unix() int64 { return int64(int32(s.seconds)) + int64(s.extra&3)<<32 }

// putTime writes a time's two words.
func (r record) putTime(off, extraOff int, s stamp) {
	r.put32(off, s.seconds)
	r.put32(extraOff, s.extra)
}

// deviceNumber puts major and minor into 64 bits: below the older form of 16
// bits where they fit in it, above the newer one.
func deviceNumber(major, minor uint32) (number int64, ok bool) {
	if major < 256 && minor < 256 {
		return int64(major<<8 | minor), true
	}
	if major >= 1<<12 || minor >= 1<<20 {
		return 0, false
	}
	return int64(minor&0xff|major<<8|minor&^0xff<<12) << 32, true
}

// fields holds the fields of an inode on disk that type inode does not have.
type fields struct {
	inode
	ino    uint32
	root   [60]byte // i_block
	flags  uint32
	blocks int64 // in use, trees and attributes included
	xattrs string
	xattr  int64 // the block of extended attributes
	made   stamp
}

// encode encodes an inode with its checksum.
func (f *fields) encode(r record, fsSeed uint32) {
	clear(r[:inodeSize])
	r.put16(0x00, f.mode)
	r.split16(0x02, 0x78, f.uid)
	r.split16(0x18, 0x7a, f.gid)
	r.split(0x04, 0x6c, f.length())
	r.putTime(0x08, 0x8c, f.mtime) // atime
	r.putTime(0x0c, 0x84, f.made)
	r.putTime(0x10, 0x88, f.mtime)
	r.putTime(0x90, 0x94, f.made)
	r.put16(0x1a, f.linkCount())
	sectors := f.blocks * sectorsABlock
	r.put32(0x1c, uint32(sectors))
	r.put16(0x74, uint16(sectors>>32))
	r.put32(0x20, f.flags)
	copy(r[0x28:], f.root[:])
	r.put32(0x68, uint32(f.xattr))
	r.put16(0x76, uint16(f.xattr>>32))
	r.put16(0x80, extraSize)
	copy(r[0x80+extraSize:], f.xattrs)
	crc := checksum(inodeSeed(fsSeed, f.ino), r[:inodeSize])
	r.split16(0x7c, 0x82, crc)
}

// length returns i_size, which is 0 for devices.
func (f *fields) length() int64 {
	if f.is(modeChar) || f.is(modeBlock) {
		return 0
	}
	return f.size
}

func (f *fields) linkCount() uint16 {
	if f.is(modeDir) && f.links >= maxLinks {
		return 1
	}
	return f.links
}
