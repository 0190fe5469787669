package disk

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/diskfs/go-diskfs/partition/gpt"
)

// ErrNoTable says that a disk has no GUID partition table that is whole.
var ErrNoTable = errors.New("it has no GUID partition table whose checksums are right")

// FindPersistent is the persistent partition of a disk of size bytes, going by
// the copy of its partition table that is whole. There must be one.
func FindPersistent(r io.ReaderAt, size, sector int64) (Partition, error) {
	t, err := readTable(r, size, sector)
	if err != nil {
		return Partition{}, fmt.Errorf("look for a persistent partition: %w", err)
	}
	found := slices.DeleteFunc(partitionsOf(t, sector), func(p Partition) bool { return p.Name != persistentName })
	if len(found) != 1 {
		return Partition{}, fmt.Errorf("look for a persistent partition: %d of the disk's partitions are called %q, and there must be one", len(found), persistentName)
	}
	return found[0], nil
}

// Grow gives a disk's last partition all room up to the disk's end, which is
// beyond what its partition table knows of where the disk was made larger, or
// its image written to a larger one. It returns the partition, and whether
// anything was to do. At any moment one of the table's copies is whole; what
// starts the disk by BIOS stays.
func Grow(dev Device, size, sector int64) (Partition, bool, error) {
	p, grown, err := grow(dev, size, sector)
	if err != nil {
		return p, grown, fmt.Errorf("grow the last partition into the disk: %w", err)
	}
	return p, grown, nil
}

func grow(dev Device, size, sector int64) (Partition, bool, error) {
	t, err := readTable(dev, size, sector)
	if err != nil {
		return Partition{}, false, err
	}
	if len(t.Partitions) == 0 {
		return Partition{}, false, errors.New("it has no partition")
	}
	last := slices.MaxFunc(t.Partitions, func(a, b *gpt.Partition) int { return cmp.Compare(a.Start, b.Start) })
	l := Layout{Size: size, Sector: sector, GUID: t.GUID}
	end := uint64(l.usable() / sector)
	if last.End+1 >= end {
		return partitionOf(last, sector), false, nil
	}
	last.End, last.Size = end-1, (end-last.Start)*uint64(sector)
	table, err := l.encode(t.Partitions)
	if err == nil {
		err = table.replace(dev, sector, t.RecoveredFromBackup)
	}
	return partitionOf(last, sector), true, err
}

// replace puts the table in the place of an older one, of which the first copy
// may be broken: while one copy is written the other is whole. The first
// sector keeps its boot code.
func (t Table) replace(dev Device, sector int64, broken bool) error {
	first := make([]byte, sector)
	if _, err := dev.ReadAt(first, 0); err != nil {
		return err
	}
	copy(first[bootCodeEnd:], t.First[bootCodeEnd:sector])
	copies := []part{{t.Backup, t.BackupOffset}, {t.First[sector : sector+int64(len(t.Backup))], sector}}
	if broken {
		slices.Reverse(copies)
	}
	for _, c := range append(copies, part{first, 0}) {
		if _, err := dev.WriteAt(c.bytes, c.off); err != nil {
			return err
		}
		if err := dev.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// bootCodeEnd is where the protective MBR's entries begin.
const bootCodeEnd = 446

// maxTable is more than the entries of any partition table take, in bytes.
const maxTable = mib

// readTable reads the first copy of a partition table, or the one at the end
// if that is not whole.
func readTable(r io.ReaderAt, size, sector int64) (*gpt.Table, error) {
	if size < 3*mib || sector != 512 && sector != 4096 {
		return nil, ErrNoTable
	}
	r = wholeSectors{r, sector}
	for _, at := range []int64{sector, (size/sector - 1) * sector} {
		if err := boundTable(r, at); err != nil {
			return nil, err
		}
	}
	t, err := gpt.Read(readable{io.NewSectionReader(r, 0, size/sector*sector)}, int(sector), int(sector))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTable, err)
	}
	for _, p := range t.Partitions {
		if p.Start > p.End || p.End >= uint64(size/sector) {
			return nil, fmt.Errorf("%w: its partition %d ends beyond the disk", ErrNoTable, p.Index)
		}
	}
	return t, nil
}

// boundTable refuses a header by which far more would be read than any table
// has: nothing is known of it yet.
func boundTable(r io.ReaderAt, at int64) error {
	var h [92]byte
	if _, err := r.ReadAt(h[:], at); err != nil {
		return fmt.Errorf("read the partition table: %w", err)
	}
	count, length := uint64(binary.LittleEndian.Uint32(h[80:])), uint64(binary.LittleEndian.Uint32(h[84:]))
	if string(h[:8]) == "EFI PART" && (length < 128 || count*length > maxTable) {
		return fmt.Errorf("%w: it has %d entries of %d bytes", ErrNoTable, count, length)
	}
	return nil
}

// partitionsOf are a table's partitions.
func partitionsOf(t *gpt.Table, sector int64) (list []Partition) {
	for _, p := range t.Partitions {
		list = append(list, partitionOf(p, sector))
	}
	return list
}

func partitionOf(p *gpt.Partition, sector int64) Partition {
	return Partition{
		Number: p.Index, Name: p.Name, Type: string(p.Type), GUID: strings.ToLower(p.GUID),
		Offset: int64(p.Start) * sector, Size: int64(p.End-p.Start+1) * sector,
	}
}

// wholeSectors reads a device that is accessed in whole sectors only.
type wholeSectors struct {
	r      io.ReaderAt
	sector int64
}

// ReadAt reads the sectors that the bytes are in.
func (w wholeSectors) ReadAt(p []byte, off int64) (int, error) {
	before := off % w.sector
	length := (before + int64(len(p)) + w.sector - 1) / w.sector * w.sector
	if before == 0 && length == int64(len(p)) {
		return w.r.ReadAt(p, off)
	}
	b := make([]byte, length)
	n, err := w.r.ReadAt(b, off-before)
	return copy(p, b[min(before, int64(n)):n]), err
}

// readable is a disk as the library reads it.
type readable struct{ *io.SectionReader }

// Stat is there for the library's sake, and tells nothing.
func (readable) Stat() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

// Close leaves the disk open, which is its owner's.
func (readable) Close() error { return nil }
