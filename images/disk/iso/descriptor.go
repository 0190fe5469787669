package iso

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Offsets in the primary volume descriptor (ECMA-119, 8.4), from byte 0.
const (
	systemIDAt    = 8
	volumeIDAt    = 40
	volumeSizeAt  = 80
	setSizeAt     = 120
	sequenceAt    = 124
	blockSizeAt   = 128
	pathSizeAt    = 132
	littleTableAt = 140
	bigTableAt    = 148
	rootRecordAt  = 156
	volumeSetAt   = 190 // 128 characters
	applicationAt = 574
	texts         = 813 // the end of all texts
	createdAt     = 813
	modifiedAt    = 830
	expiresAt     = 847
	effectiveAt   = 864
	structureAt   = 881
)

// standardID follows the type at the beginning of every descriptor.
const standardID = "CD001"

// descriptors returns the sectors from [volumeAt] to the end of the folder.
func (m *Image) descriptors() []byte {
	b := make([]byte, (folderAt-volumeAt)*sector, (folderAt-volumeAt)*sector+len(m.folder))
	part := func(at int) []byte { return b[(at-volumeAt)*sector:][:sector] }
	m.putVolume(part(volumeAt))
	putHeader(part(bootRecordAt), 0)
	copy(part(bootRecordAt)[7:], "EL TORITO SPECIFICATION")
	binary.LittleEndian.PutUint32(part(bootRecordAt)[0x47:], catalogAt)
	putHeader(part(terminatorAt), 255)
	m.putCatalog(part(catalogAt))
	putPath(part(littlePathsAt), binary.LittleEndian)
	putPath(part(bigPathsAt), binary.BigEndian)
	return append(b, m.folder...)
}

func putHeader(b []byte, kind byte) {
	b[0], b[6] = kind, 1
	copy(b[1:], standardID)
}

// putVolume makes the primary volume descriptor.
func (m *Image) putVolume(b []byte) {
	for i := systemIDAt; i < texts; i++ {
		b[i] = ' '
	}
	putHeader(b, 1)
	copy(b[volumeIDAt:], m.opts.Label)
	clear(b[volumeIDAt+32 : volumeSetAt])
	putBoth32(b[volumeSizeAt:], uint32(m.size/sector))
	putBoth16(b[setSizeAt:], 1)
	putBoth16(b[sequenceAt:], 1)
	putBoth16(b[blockSizeAt:], sector)
	putBoth32(b[pathSizeAt:], pathSize)
	binary.LittleEndian.PutUint32(b[littleTableAt:], littlePathsAt)
	binary.BigEndian.PutUint32(b[bigTableAt:], bigPathsAt)
	copy(b[rootRecordAt:], m.record("\x00", folderAt*sector, m.folderSize(), isFolder))
	copy(b[volumeSetAt:], setID(m.opts.ID))
	copy(b[applicationAt:], "CLOUDLETS")
	for _, at := range []int{createdAt, modifiedAt, effectiveAt} {
		copy(b[at:], longTime(m.opts.Time))
	}
	copy(b[expiresAt:], strings.Repeat("0", 16)+"\x00") // never
	b[structureAt] = 1
}

// pathSize is the length of a path table that lists only the root.
const pathSize = 10

// putPath makes a path table (ECMA-119, 9.4).
func putPath(b []byte, order binary.ByteOrder) {
	b[0] = 1
	order.PutUint32(b[2:], folderAt)
	order.PutUint16(b[6:], 1)
}

// setID formats an identifier as the name of a volume set.
func setID(id uuid.UUID) string { return strings.ToUpper(hex.EncodeToString(id[:])) }

// clampTime limits a time to the format's range and converts it to UTC.
func clampTime(t time.Time) time.Time {
	t = t.UTC()
	switch {
	case t.Year() < 1900:
		return time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)
	case t.Year() > 2155:
		return time.Date(2155, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t
}

// longTime encodes a time as text with the zone at its end (ECMA-119, 8.4.26.1).
func longTime(t time.Time) string {
	t = clampTime(t)
	return fmt.Sprintf("%s%02d\x00", t.Format("20060102150405"), t.Nanosecond()/1e7)
}

// shortTime encodes a time in seven bytes (ECMA-119, 9.1.5).
func shortTime(t time.Time) []byte {
	t = clampTime(t)
	return []byte{byte(t.Year() - 1900), byte(t.Month()), byte(t.Day()), byte(t.Hour()), byte(t.Minute()), byte(t.Second()), 0}
}

// putBoth32 writes a number in both byte orders, as the format wants most
// numbers.
func putBoth32(b []byte, n uint32) {
	binary.LittleEndian.PutUint32(b, n)
	binary.BigEndian.PutUint32(b[4:], n)
}

func putBoth16(b []byte, n uint16) {
	binary.LittleEndian.PutUint16(b, n)
	binary.BigEndian.PutUint16(b[2:], n)
}
