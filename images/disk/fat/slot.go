package fat

import (
	"encoding/binary"
	"time"
)

const (
	attrVolume    = 0x08
	attrDirectory = 0x10
	attrArchive   = 0x20
	attrLongName  = 0x0f

	lastLongSlot = 0x40
)

// longOffsets are the offsets of the characters in a long-name slot. They lie
// between fields that old drivers read.
var longOffsets = [longUnits]int{1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30}

// directoryBytes returns the content of a directory, without the zeros after it.
func (p *plan) directoryBytes(dir *node) []byte {
	out := make([]byte, 0, dir.slots()*slotSize)
	if dir == p.root {
		if p.opts.Label != "" {
			out = p.appendSlot(out, shortName(p.label), attrVolume, 0, 0)
		}
	} else {
		out = p.appendSlot(out, pack(".", ""), attrDirectory, dir.cluster, 0)
		out = p.appendSlot(out, pack("..", ""), attrDirectory, p.parentCluster(dir), 0)
	}
	for _, c := range dir.children {
		out = appendLong(out, c)
		if c.dir {
			out = p.appendSlot(out, c.short, attrDirectory, c.cluster, 0)
		} else {
			out = p.appendSlot(out, c.short, attrArchive, c.cluster, uint32(c.file.Size))
		}
	}
	return out
}

// parentCluster returns the cluster for "..". It is 0 for the root directory,
// whatever the root's cluster is.
func (p *plan) parentCluster(dir *node) uint32 {
	if dir.parent == p.root {
		return 0
	}
	return dir.parent.cluster
}

func (p *plan) appendSlot(out []byte, name shortName, attr byte, cluster, size uint32) []byte {
	var s [slotSize]byte
	copy(s[:], name[:])
	s[11] = attr
	date, clock := dosTime(p.opts.Time)
	for _, at := range []int{14, 22} { // made, modified
		binary.LittleEndian.PutUint16(s[at:], clock)
		binary.LittleEndian.PutUint16(s[at+2:], date)
	}
	binary.LittleEndian.PutUint16(s[18:], date) // read
	binary.LittleEndian.PutUint16(s[20:], uint16(cluster>>16))
	binary.LittleEndian.PutUint16(s[26:], uint16(cluster))
	binary.LittleEndian.PutUint32(s[28:], size)
	return append(out, s[:]...)
}

// appendLong appends a long name. It comes before the short name, and its last
// part comes first.
func appendLong(out []byte, n *node) []byte {
	count := longSlots(n.long)
	sum := n.short.checksum()
	for i := count; i >= 1; i-- {
		var s [slotSize]byte
		s[0] = byte(i)
		if i == count {
			s[0] |= lastLongSlot
		}
		s[11], s[13] = attrLongName, sum
		putLong(&s, n.long[(i-1)*longUnits:])
		out = append(out, s[:]...)
	}
	return out
}

// putLong fills a slot with the first units. A zero ends the name, and ones fill
// the rest of the slot.
func putLong(s *[slotSize]byte, units []uint16) {
	for i, at := range longOffsets {
		unit := uint16(0xffff)
		switch {
		case i < len(units):
			unit = units[i]
		case i == len(units):
			unit = 0
		}
		binary.LittleEndian.PutUint16(s[at:], unit)
	}
}

// dosTime converts a time to FAT's date and its clock of two-second steps. It
// limits the time to FAT's range.
func dosTime(t time.Time) (date, clock uint16) {
	t = t.UTC()
	if t.Year() < 1980 {
		t = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if t.Year() > 2107 {
		t = time.Date(2107, 12, 31, 23, 59, 58, 0, time.UTC)
	}
	date = uint16((t.Year()-1980)<<9 | int(t.Month())<<5 | t.Day())
	clock = uint16(t.Hour()<<11 | t.Minute()<<5 | t.Second()/2)
	return date, clock
}
