package probe

import (
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf16"
)

const (
	kindGPT = "gpt"
	kindMBR = "mbr"

	// Limits on how much is read because of a broken table.
	maxEntries = 256
	maxLogical = 64
)

// partitions returns the disk's partition table and the partitions that it lists.
// A boot sector that belongs to a filesystem is not read as a DOS table.
func partitions(a *area, bootSectorOwned bool) (table, parts []Content) {
	for _, sector := range []int64{512, 4096} {
		for _, at := range []int64{sector, (a.size/sector - 1) * sector} {
			h := a.bytes(max(at, 0), 92)
			if string(h[:8]) != "EFI PART" {
				continue
			}
			c := Content{Size: a.size, Kind: kindGPT, UUID: guidText(h[56:72])}
			return []Content{c}, gptParts(a, h, sector)
		}
	}
	if !bootSectorOwned {
		return mbr(a)
	}
	return nil, nil
}

// ownsBootSector reports whether one of the filesystems found has boot code at
// the offset of a DOS partition table.
func ownsBootSector(found []Content) bool {
	return slices.ContainsFunc(found, func(c Content) bool {
		return slices.Contains([]string{"vfat", "ntfs", "exfat", "refs", "BitLocker"}, c.Kind)
	})
}

func gptParts(a *area, header []byte, sector int64) []Content {
	le := binary.LittleEndian
	first, count, length := le.Uint64(header[72:]), le.Uint32(header[80:]), le.Uint32(header[84:])
	if first > uint64(a.size/sector) || length < 128 || length > 4096 {
		return nil
	}
	var parts []Content
	for i := range min(count, maxEntries) {
		e := a.bytes(int64(first)*sector+int64(i)*int64(length), 128)
		start, end := le.Uint64(e[32:]), le.Uint64(e[40:])
		if blank(e[:16]) || start > end || end >= 1<<62/uint64(sector) {
			continue
		}
		parts = append(parts, Content{
			Partition: int(i) + 1, Offset: int64(start) * sector, Size: int64(end-start+1) * sector,
			Label: gptName(e[56:128]), UUID: guidText(e[16:32]),
		})
	}
	return parts
}

// gptName decodes a partition's name: up to 36 units of UTF-16, ended by a zero.
func gptName(b []byte) string {
	var units []uint16
	for i := 0; i+1 < len(b); i += 2 {
		u := binary.LittleEndian.Uint16(b[i:])
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return clean([]byte(string(utf16.Decode(units))))
}

// mbr reads a DOS partition table with its logical partitions.
func mbr(a *area) (table, parts []Content) {
	b := a.bytes(0, 512)
	if !isMBR(b) {
		return nil, nil
	}
	table = []Content{{Size: a.size, Kind: kindMBR, UUID: fmt.Sprintf("%08x", binary.LittleEndian.Uint32(b[440:]))}}
	for i := range 4 {
		e := mbrEntry(b, i)
		switch {
		case e.kind == 0:
		case extended(e.kind):
			parts = append(parts, logical(a, e.start)...)
		default:
			parts = append(parts, e.content(i+1, 0))
		}
	}
	return table, parts
}

// isMBR reports whether a sector holds a partition table rather than other boot
// code.
func isMBR(b []byte) bool {
	if binary.LittleEndian.Uint16(b[510:]) != 0xaa55 {
		return false
	}
	used := false
	for i := range 4 {
		flag := b[446+16*i]
		if flag != 0 && flag != 0x80 {
			return false
		}
		used = used || mbrEntry(b, i).kind != 0
	}
	return used
}

// dosEntry is an entry of a DOS partition table, in sectors of 512 bytes.
type dosEntry struct {
	kind         byte
	start, count int64
}

func mbrEntry(b []byte, i int) dosEntry {
	e := b[446+16*i:]
	return dosEntry{e[4], int64(binary.LittleEndian.Uint32(e[8:])), int64(binary.LittleEndian.Uint32(e[12:]))}
}

func (e dosEntry) content(number int, base int64) Content {
	return Content{Partition: number, Offset: (base + e.start) * 512, Size: e.count * 512}
}

func extended(kind byte) bool { return kind == 0x05 || kind == 0x0f || kind == 0x85 }

// logical follows the chain of an extended partition. Each sector of the chain
// lists one logical partition and the next sector of the chain, whose number is
// relative to base.
func logical(a *area, base int64) []Content {
	var parts []Content
	for at, n := base, 5; n < 5+maxLogical; n++ {
		b := a.bytes(at*512, 512)
		e, next := mbrEntry(b, 0), mbrEntry(b, 1)
		if binary.LittleEndian.Uint16(b[510:]) != 0xaa55 || e.kind == 0 {
			break
		}
		parts = append(parts, e.content(n, at))
		if !extended(next.kind) {
			break
		}
		at = base + next.start
	}
	return parts
}
