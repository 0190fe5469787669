package disk

import (
	"encoding/binary"
	"fmt"

	"github.com/diskfs/go-diskfs/backend"
	"github.com/diskfs/go-diskfs/partition/gpt"
)

// Table is an encoded GUID partition table (UEFI 2.10, section 5.3). The caller
// writes its parts in the order that it needs.
type Table struct {
	// First is the disk's first MiB: protective MBR, primary header and
	// entries. Its first 440 bytes are free for boot code.
	First []byte
	// Backup is the copy for the end of the disk. It belongs at BackupOffset.
	Backup       []byte
	BackupOffset int64
}

// Table encodes the layout's partition table.
func (l Layout) Table() (Table, error) { return l.tableOf(l.Partitions()...) }

// tableOf encodes a table that lists the given partitions.
func (l Layout) tableOf(partitions ...Partition) (Table, error) {
	var list []*gpt.Partition
	for _, p := range partitions {
		list = append(list, &gpt.Partition{
			Index: p.Number, Name: p.Name, Type: gpt.Type(p.Type), GUID: p.GUID,
			Start: uint64(p.Offset / l.Sector), Size: uint64(p.Size), End: uint64(p.end()/l.Sector - 1),
		})
	}
	return l.encode(list)
}

// encode encodes a table for the layout's disk.
func (l Layout) encode(partitions []*gpt.Partition) (Table, error) {
	c := &capture{
		first:  make([]byte, mib),
		backup: make([]byte, l.backupSize()),
		offset: l.Size/l.Sector*l.Sector - l.backupSize(),
	}
	t := gpt.Table{
		LogicalSectorSize: int(l.Sector), PhysicalSectorSize: int(l.Sector),
		GUID: l.GUID, ProtectiveMBR: true, Partitions: partitions,
	}
	if err := t.Write(c, l.Size); err != nil {
		return Table{}, fmt.Errorf("encode partition table: %w", err)
	}
	l.protect(c.first)
	return Table{First: c.first, Backup: c.backup, BackupOffset: c.offset}, nil
}

// protect corrects the only entry of the protective MBR that the library wrote.
// UEFI requires addresses in cylinders too, and a size that does not wrap around
// beyond 2 TiB.
func (l Layout) protect(first []byte) {
	entry := first[446:462]
	copy(entry[1:4], []byte{0x00, 0x02, 0x00})
	copy(entry[5:8], []byte{0xff, 0xff, 0xff})
	binary.LittleEndian.PutUint32(entry[12:], uint32(min(l.Size/l.Sector-1, 1<<32-1)))
}

// capture stores in memory what the encoder writes to either end of a disk. The
// encoder calls only WriteAt, so the interface's other methods stay nil.
type capture struct {
	backend.WritableFile
	first, backup []byte
	offset        int64 // of backup
}

func (c *capture) WriteAt(p []byte, off int64) (int, error) {
	switch {
	case off >= 0 && off+int64(len(p)) <= int64(len(c.first)):
		return copy(c.first[off:], p), nil
	case off >= c.offset && off-c.offset+int64(len(p)) <= int64(len(c.backup)):
		return copy(c.backup[off-c.offset:], p), nil
	}
	return 0, fmt.Errorf("%d bytes at %d are at neither end of the disk", len(p), off)
}
