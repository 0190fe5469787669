package probe

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode"

	"github.com/google/uuid"
)

// signature is a sequence of bytes at an offset by which a kind of content is
// recognised. A negative offset counts from the end.
type signature struct {
	kind  string
	off   int64
	magic string
}

// plainSignatures returns the signatures of contents of which no label or UUID is
// read. The other contents each have a function below.
func plainSignatures() []signature {
	return []signature{
		{"squashfs", 0, "hsqs"},
		{"exfat", 3, "EXFAT   "},
		{"refs", 3, "ReFS\x00"},
		{"BitLocker", 3, "-FVE-FS-"},
		{"apfs", 32, "NXSB"},
		{"hfsplus", 1024, "H+\x00\x04"},
		{"f2fs", 1024, "\x10\x20\xf5\xf2"},
		{"bcache", 4096 + 24, "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"},
		{"Ceph BlueStore", 0, "bluestore block device"},
		{"VMFS", 2 << 20, "\x0d\xd0\x01\xc0"},
		{"VMFS", 1 << 20, "\x0d\xd0\x01\xc0"},
		{"Intel RAID", -1024, "Intel Raid ISM Cfg Sig. "},
		{"DDF RAID", -512, "\xde\x11\xde\x11"},
		{"DDF RAID", -512, "\x11\xde\x11\xde"},
	}
}

// signatures returns all contents found in an area. Their Partition is the number
// given.
func signatures(a *area, partition int) []Content {
	var found []Content
	for _, probe := range []func(*area) Content{
		probeExt, probeXFS, probeBtrfs, probeFAT, probeNTFS, probeSwap,
		probeLUKS, probeLVM, probeMD, probeOldMD, probeZFS, probeISO,
	} {
		if c := probe(a); c.Kind != "" {
			found = append(found, c)
		}
	}
	for _, s := range plainSignatures() {
		if string(a.bytes(s.off, len(s.magic))) == s.magic {
			found = append(found, Content{Kind: s.kind})
		}
	}
	for i := range found {
		found[i].Partition, found[i].Offset, found[i].Size = partition, a.off, a.size
	}
	return found
}

func probeExt(a *area) Content {
	const hasJournal, journalDevice = 0x4, 0x8
	sb := a.bytes(1024, 0x88)
	if binary.LittleEndian.Uint16(sb[0x38:]) != 0xef53 {
		return Content{}
	}
	compat, incompat := binary.LittleEndian.Uint32(sb[0x5c:]), binary.LittleEndian.Uint32(sb[0x60:])
	roCompat := binary.LittleEndian.Uint32(sb[0x64:])
	c := Content{Kind: "ext2", Label: clean(sb[0x78:0x88]), UUID: uuidText(sb[0x68:0x78])}
	switch {
	case incompat&journalDevice != 0:
		c.Kind = "ext journal"
	case incompat&^uint32(0x16) != 0 || roCompat&^uint32(0x7) != 0: // features that ext3 does not have
		c.Kind = "ext4"
	case compat&hasJournal != 0:
		c.Kind = "ext3"
	}
	return c
}

func probeXFS(a *area) Content {
	sb := a.bytes(0, 120)
	if string(sb[:4]) != "XFSB" {
		return Content{}
	}
	return Content{Kind: "xfs", Label: clean(sb[108:120]), UUID: uuidText(sb[32:48])}
}

func probeBtrfs(a *area) Content {
	sb := a.bytes(64*kibi, 0x22b)
	if string(sb[0x40:0x48]) != "_BHRfS_M" {
		return Content{}
	}
	return Content{Kind: "btrfs", Label: clean(sb[0x12b:0x22b]), UUID: uuidText(sb[0x20:0x30])}
}

func probeFAT(a *area) Content {
	b := a.bytes(0, 512)
	if binary.LittleEndian.Uint16(b[510:]) != 0xaa55 {
		return Content{}
	}
	at := 0
	switch {
	case string(b[82:87]) == "FAT32":
		at = 67
	case string(b[54:58]) == "FAT1":
		at = 39
	default:
		return Content{}
	}
	c := Content{Kind: "vfat", Label: clean(b[at+4 : at+15])}
	if c.Label == "NO NAME" {
		c.Label = ""
	}
	serial := binary.LittleEndian.Uint32(b[at:])
	c.UUID = fmt.Sprintf("%04X-%04X", serial>>16, serial&0xffff)
	return c
}

func probeNTFS(a *area) Content {
	b := a.bytes(0, 0x50)
	if string(b[3:11]) != "NTFS    " {
		return Content{}
	}
	return Content{Kind: "ntfs", UUID: fmt.Sprintf("%016X", binary.LittleEndian.Uint64(b[0x48:]))}
}

// probeSwap looks for a signature at the end of the first page, for each possible
// page size.
func probeSwap(a *area) Content {
	for _, page := range []int64{4 * kibi, 8 * kibi, 16 * kibi, 32 * kibi, 64 * kibi} {
		switch string(a.bytes(page-10, 10)) {
		case "SWAPSPACE2":
			h := a.bytes(1024, 44)
			return Content{Kind: "swap", UUID: uuidText(h[12:28]), Label: clean(h[28:44])}
		case "SWAP-SPACE":
			return Content{Kind: "swap"}
		case "S1SUSPEND\x00", "S2SUSPEND\x00":
			return Content{Kind: "hibernated system"}
		}
	}
	return Content{}
}

func probeLUKS(a *area) Content {
	b := a.bytes(0, 208)
	if string(b[:6]) != "LUKS\xba\xbe" {
		return Content{}
	}
	c := Content{Kind: "LUKS", UUID: clean(b[168:208])}
	if binary.BigEndian.Uint16(b[6:]) == 2 {
		c.Label = clean(b[24:72])
	}
	return c
}

// probeLVM looks for a physical volume's label in the first four sectors.
func probeLVM(a *area) Content {
	for sector := range int64(4) {
		b := a.bytes(sector*512, 64)
		if string(b[:8]) == "LABELONE" && string(b[24:32]) == "LVM2 001" {
			return Content{Kind: "LVM PV", UUID: clean(b[32:64])}
		}
	}
	return Content{}
}

// probeMD looks for a RAID member of metadata 1.1, 1.2 and 1.0: at the
// beginning, 4 KiB after it, and 8 KiB or more before the end.
func probeMD(a *area) Content {
	for _, v := range []struct {
		name string
		off  int64
	}{{"1.1", 0}, {"1.2", 4 * kibi}, {"1.0", (a.size/512 - 16) &^ 7 * 512}} {
		b := a.bytes(max(v.off, 0), 64)
		if binary.LittleEndian.Uint32(b) == mdMagic && binary.LittleEndian.Uint32(b[4:]) == 1 {
			return Content{Kind: "md RAID " + v.name, Label: clean(b[32:64]), UUID: uuidText(b[16:32])}
		}
	}
	return Content{}
}

const mdMagic = 0xa92b4efc

// probeOldMD looks for a RAID member of metadata 0.90, which is in the last
// whole 64 KiB and in the byte order of the machine that made it.
func probeOldMD(a *area) Content {
	off := a.size&^(64*kibi-1) - 64*kibi
	b := a.bytes(max(off, 0), 64)
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if off >= 0 && order.Uint32(b) == mdMagic && order.Uint32(b[4:]) == 0 {
			id := append(b[20:24:24], b[52:64]...)
			return Content{Kind: "md RAID 0.90", UUID: uuidText(id)}
		}
	}
	return Content{}
}

// probeZFS looks for an uberblock in each of the four labels: two at the
// beginning, two at the end. Its array is the second half of a label.
func probeZFS(a *area) Content {
	const label, half = 256 * kibi, 128 * kibi
	end := a.size &^ (label - 1)
	for _, at := range []int64{0, label, end - 2*label, end - label} {
		if at < 0 || at+label > a.size {
			continue
		}
		ring := a.bytes(at+half, half)
		for i := 0; i < half; i += kibi {
			if isUberblock(ring[i:]) {
				return Content{Kind: "zfs"}
			}
		}
	}
	return Content{}
}

func isUberblock(b []byte) bool {
	const magic = 0x00bab10c
	return binary.LittleEndian.Uint64(b) == magic || binary.BigEndian.Uint64(b) == magic
}

func probeISO(a *area) Content {
	b := a.bytes(32*kibi, 72)
	if string(b[1:6]) != "CD001" {
		return Content{}
	}
	return Content{Kind: "iso9660", Label: clean(b[40:72])}
}

// clean returns a label up to its first zero byte, without unprintable
// characters.
func clean(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(b)))
}

// uuidText formats a UUID whose bytes are in the order of its text. It returns ""
// if all bytes are zero.
func uuidText(b []byte) string {
	if blank(b) {
		return ""
	}
	return uuid.UUID(b[:16]).String()
}

// guidText formats a GUID as UEFI stores it: the bytes of its first three parts
// are in reverse order.
func guidText(b []byte) string {
	s := hex.EncodeToString([]byte{
		b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9],
		b[10], b[11], b[12], b[13], b[14], b[15],
	})
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

func blank(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
