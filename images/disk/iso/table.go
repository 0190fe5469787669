package iso

import (
	"encoding/binary"
	"hash/crc32"
	"unicode/utf16"

	"github.com/google/uuid"
)

// Partition types.
var (
	espType  = uuid.MustParse("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
	dataType = uuid.MustParse("0fc63daf-8483-4772-8e79-3d69d8477de4")
)

// A GUID partition table (UEFI 2.10, section 5.3): the header's length, and
// how many entries of which length there are.
const (
	headerSize     = 92
	partitions     = 128
	partitionEntry = 128
	entriesSize    = partitions * partitionEntry
	backupSize     = entriesSize + diskSector
	firstUsable    = 2 + entriesSize/diskSector
	readOnly       = 1 << 60 // attribute of a read-only partition
)

// table holds both copies of the partition table, for the two ends of the disk.
type table struct{ first, backup []byte }

// table makes the partition table for a disk of the image's length. On a longer
// disk the backup is not at the end, and firmware uses the first copy.
func (m *Image) table() table {
	entries := make([]byte, entriesSize)
	m.putPartition(entries, m.opts.ESP, "esp", espType, 0)
	if m.opts.Root != "" {
		m.putPartition(entries[partitionEntry:], m.opts.Root, "root", dataType, readOnly)
	}
	last := uint64(m.size/diskSector) - 1
	first := make([]byte, 2*diskSector)
	m.putMBR(first, last)
	copy(first[diskSector:], m.header(1, last, 2, entries))
	return table{
		first:  append(first, entries...),
		backup: append(entries[:entriesSize:entriesSize], m.header(last, 1, last-entriesSize/diskSector, entries)...),
	}
}

// putMBR writes the boot code, and an entry that makes tools without support for
// GUID partition tables treat the disk as used.
func (m *Image) putMBR(b []byte, last uint64) {
	copy(b, m.code)
	entry := b[446:]
	copy(entry, []byte{0, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff})
	binary.LittleEndian.PutUint32(entry[8:], 1)
	binary.LittleEndian.PutUint32(entry[12:], uint32(min(last, 1<<32-1)))
	b[510], b[511] = 0x55, 0xaa
}

func (m *Image) putPartition(b []byte, file, name string, kind uuid.UUID, attributes uint64) {
	f, _ := m.find(file)
	copy(b, mixed(kind))
	copy(b[16:], mixed(m.derived("partition "+name)))
	binary.LittleEndian.PutUint64(b[32:], uint64(f.offset/diskSector))
	binary.LittleEndian.PutUint64(b[40:], uint64((max(f.end(), f.offset+1)+diskSector-1)/diskSector-1))
	binary.LittleEndian.PutUint64(b[48:], attributes)
	for i, unit := range utf16.Encode([]rune(name)) {
		binary.LittleEndian.PutUint16(b[56+2*i:], unit)
	}
}

// header makes one of the two headers. Each contains the sector number of the
// other.
func (m *Image) header(here, there, entriesAt uint64, entries []byte) []byte {
	b := make([]byte, diskSector)
	copy(b, "EFI PART\x00\x00\x01\x00")
	binary.LittleEndian.PutUint32(b[12:], headerSize)
	usable := uint64((m.size-backupSize)/diskSector) - 1
	for i, n := range []uint64{here, there, firstUsable, usable} {
		binary.LittleEndian.PutUint64(b[24+8*i:], n)
	}
	copy(b[56:], mixed(m.derived("disk")))
	binary.LittleEndian.PutUint64(b[72:], entriesAt)
	binary.LittleEndian.PutUint32(b[80:], partitions)
	binary.LittleEndian.PutUint32(b[84:], partitionEntry)
	binary.LittleEndian.PutUint32(b[88:], crc32.ChecksumIEEE(entries))
	binary.LittleEndian.PutUint32(b[16:], crc32.ChecksumIEEE(b[:headerSize]))
	return b
}

func (m *Image) derived(name string) uuid.UUID {
	return uuid.NewSHA1(m.opts.ID, []byte("iso "+name))
}

// mixed encodes a GUID as firmware stores it: the first three fields are
// little-endian.
func mixed(id uuid.UUID) []byte {
	return []byte{id[3], id[2], id[1], id[0], id[5], id[4], id[7], id[6], id[8], id[9], id[10], id[11], id[12], id[13], id[14], id[15]}
}
