package vdisk

import (
	"encoding/binary"
	"time"
)

// Constants of Microsoft's "Virtual Hard Disk Image Format Specification".
const (
	vhdMaxSize = 2040 * gib
	vhdVersion = 1 << 16
	vhdFixed   = 2
	vhdDynamic = 3
	vhdNowhere = 0xffffffffffffffff
)

// vhdFooter is the last sector of each kind. Offsets are in bytes.
type vhdFooter struct {
	Cookie                    [8]byte
	Features, Version         uint32
	DataOffset                uint64
	Time                      uint32
	Creator                   [4]byte
	CreatorVersion            uint32
	CreatorOS                 [4]byte
	OriginalSize, CurrentSize uint64
	Cylinders                 uint16
	Heads, Sectors            uint8
	Kind, Checksum            uint32
	ID                        [16]byte
	SavedState                uint8
	_                         [427]byte
}

// newVHDFooter returns the footer's sector. Its creator field names another program,
// because readers decide by it whether to use the size or the geometry, which is usually
// a bit smaller.
func newVHDFooter(kind uint32, dataOffset uint64, size int64, o Options) []byte {
	f := vhdFooter{
		Features: 2, Version: vhdVersion, DataOffset: dataOffset, Time: vhdTime(o.Time),
		CreatorVersion: 10 << 16,
		OriginalSize:   uint64(size), CurrentSize: uint64(size),
		Kind: kind, ID: o.ID,
	}
	copy(f.Cookie[:], "conectix")
	copy(f.Creator[:], "win ")
	copy(f.CreatorOS[:], "Wi2k")
	f.Cylinders, f.Heads, f.Sectors = vhdGeometry(size)
	f.Checksum = vhdChecksum(encode(binary.BigEndian, f))
	return encode(binary.BigEndian, f)
}

// vhdChecksum computes the checksum of a structure whose checksum field is still 0.
func vhdChecksum(data []byte) uint32 {
	var sum uint32
	for _, b := range data {
		sum += uint32(b)
	}
	return ^sum
}

// vhdTime returns the seconds since the year 2000.
func vhdTime(t time.Time) uint32 {
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	return uint32(max(0, min(1<<32-1, t.Unix()-epoch.Unix())))
}

// vhdGeometry implements the appendix "CHS Calculation": small disks have few sectors
// per track. A disk that would then have more than 1024 cylinders has more sectors per
// track.
func vhdGeometry(size int64) (cylinders uint16, heads, sectors uint8) {
	total := min(size/sector, 65535*16*255)
	if total >= 65535*16*63 {
		return uint16(total / 255 / 16), 16, 255
	}
	h := max(4, (total/17+1023)/1024)
	s := int64(17)
	if h > 16 || total/17 >= h*1024 {
		h, s = 16, 31
	}
	if total/s >= h*1024 {
		h, s = 16, 63
	}
	return uint16(total / s / h), uint8(h), uint8(s)
}

// newVHDFixed returns a writer of the kind that Azure accepts: the raw disk followed by
// the footer.
func newVHDFixed(t target, o Options) (container, error) {
	return newPlain(t, newVHDFooter(vhdFixed, vhdNowhere, t.size, o)), nil
}
