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

	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/slots"
)

// ErrNoTable is returned for a disk without an intact GUID partition table.
var ErrNoTable = errors.New("the disk has no GUID partition table with correct checksums")

// ErrNoSlots is returned for a disk without two slots.
var ErrNoSlots = errors.New("the disk has no two slots for systems")

// ErrNoPersistent is returned for a disk without a persistent partition.
var ErrNoPersistent = errors.New("the disk has no persistent partition")

// FindPersistent returns the persistent partition of a disk of size bytes. It
// reads the first intact copy of the partition table. It is an error if the disk
// has no persistent partition or several.
func FindPersistent(r io.ReaderAt, size, sector int64) (Partition, error) {
	t, err := readTable(r, size, sector)
	if err != nil {
		return Partition{}, fmt.Errorf("look for a persistent partition: %w", err)
	}
	found := slices.DeleteFunc(partitionsOf(t, sector), func(p Partition) bool { return p.Name != persistentName })
	if len(found) == 0 {
		return Partition{}, fmt.Errorf("look for a persistent partition: %w: none of its partitions is called %q", ErrNoPersistent, persistentName)
	}
	if len(found) != 1 {
		return Partition{}, fmt.Errorf("look for a persistent partition: %d of the disk's partitions are called %q, but exactly one must be", len(found), persistentName)
	}
	return found[0], nil
}

// Ours says whether the disk's partitions are those that an install of this program made
// with a persistent partition, or what an install that failed left of them: the
// persistent partition alone.
func Ours(r io.ReaderAt, size, sector int64) bool {
	t, err := readTable(r, size, sector)
	if err != nil {
		return false
	}
	kept := false
	for _, p := range partitionsOf(t, sector) {
		switch {
		case p.Number == 4 && p.Name == persistentName:
			kept = true
		case p.Number == 1 && p.Name == "bios-boot", p.Number == 2 && p.Name == "esp",
			p.Number == rootNumber && (p.Name == "root" || p.Name == slotName(slots.A)),
			p.Number == slotBNumber && p.Name == slotName(slots.B):
		default:
			return false
		}
	}
	return kept
}

// twoSlots returns the layout of a table with two slots, whose partitions have some names,
// with slot A as its Root. ok is false if it is not such a table.
func twoSlots(t *gpt.Table, size, sector int64, slot func(slots.Name) string, persistent string) (l Layout, ok bool) {
	l = Layout{Size: size, Sector: sector, GUID: strings.ToLower(t.GUID), Slot: slots.A}
	for _, p := range partitionsOf(t, sector) {
		switch p.Name {
		case "bios-boot":
			l.BIOSBoot = p
		case "esp":
			l.ESP = p
		case slot(slots.A):
			l.Root = p
		case slot(slots.B):
			l.Other = p
		case persistent:
			l.Persistent, l.Kept = p, true
		}
	}
	return l, l.ESP.Size > 0 && l.Root.Number == rootNumber && l.Other.Number == slotBNumber
}

// FindSlots returns the layout of a disk with two slots, with slot A as its Root.
// Persistent is kept if there is such a partition. The error wraps [ErrNoSlots] if the
// disk is not one that an install of this program made with two slots.
func FindSlots(r io.ReaderAt, size, sector int64) (Layout, error) {
	t, err := readTable(r, size, sector)
	if err != nil {
		return Layout{}, fmt.Errorf("look for two slots: %w: %w", ErrNoSlots, err)
	}
	l, ok := twoSlots(t, size, sector, slotName, persistentName)
	if !ok {
		return Layout{}, fmt.Errorf("look for two slots: %w", ErrNoSlots)
	}
	for _, a := range []bootloader.Arch{bootloader.AMD64, bootloader.ARM64} {
		if kind, err := rootType(a); err == nil && strings.EqualFold(kind, l.Root.Type) {
			l.Arch = a
		}
	}
	return l, nil
}

// IsFound says whether a kernel and firmware find the partitions of a disk: its first sector
// announces the table (UEFI 2.10, 5.2.3), and the first copy of that is intact. An install
// writes these two last of all, after the backup table.
func IsFound(r io.ReaderAt, size, sector int64) bool {
	first := make([]byte, sector)
	if _, err := r.ReadAt(first, 0); err != nil || first[510] != 0x55 || first[511] != 0xaa || first[446+4] != 0xee {
		return false
	}
	_, err := readTable(withoutBackup{r, (size/sector - 1) * sector}, size, sector)
	return err == nil
}

// HasShim says whether a disk with two slots starts by shim, as firmware with Secure Boot
// wants it.
func HasShim(r io.ReaderAt, l Layout) (bool, error) {
	_, _, err := fat.Locate(io.NewSectionReader(r, l.ESP.Offset, l.ESP.Size), bootloader.ShimGRUB(l.Arch))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Grow extends a disk's last partition to the end of the disk. This is needed if
// the disk was made larger, or if its image was copied to a larger disk. Grow
// returns the partition, and whether it had to change the table. At every moment
// at least one copy of the table is intact. The boot code for BIOS stays.
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
		return Partition{}, false, errors.New("the disk has no partition")
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

// replace writes the table over an older one, one copy at a time, so that at
// every moment one copy is intact. The parameter firstBroken says that the older
// table's first copy is not intact and must be replaced first. The boot code in
// the first sector stays.
func (t Table) replace(dev Device, sector int64, firstBroken bool) error {
	first := make([]byte, sector)
	if _, err := dev.ReadAt(first, 0); err != nil {
		return err
	}
	copy(first[bootCodeEnd:], t.First[bootCodeEnd:sector])
	copies := []extentWrite{{t.Backup, t.BackupOffset}, {t.First[sector : sector+int64(len(t.Backup))], sector}}
	if firstBroken {
		slices.Reverse(copies)
	}
	for _, c := range append(copies, extentWrite{first, 0}) {
		if _, err := dev.WriteAt(c.bytes, c.off); err != nil {
			return err
		}
		if err := dev.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// bootCodeEnd is the offset of the protective MBR's entries.
const bootCodeEnd = 446

// maxTable limits the size in bytes of a partition table's entries. Real tables
// are smaller.
const maxTable = mib

// readTable reads the first copy of a partition table, or the backup if the
// first copy is not intact.
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
			return nil, fmt.Errorf("%w: partition %d ends beyond the end of the disk", ErrNoTable, p.Index)
		}
	}
	return t, nil
}

// boundTable refuses a header that announces more entries than any real table
// has, because the library would read them all into memory before it verifies
// the checksum.
func boundTable(r io.ReaderAt, at int64) error {
	var h [92]byte
	if _, err := r.ReadAt(h[:], at); err != nil {
		return fmt.Errorf("read the partition table: %w", err)
	}
	count, length := uint64(binary.LittleEndian.Uint32(h[80:])), uint64(binary.LittleEndian.Uint32(h[84:]))
	if string(h[:8]) == "EFI PART" && (length < 128 || count*length > maxTable) {
		return fmt.Errorf("%w: its header announces %d entries of %d bytes", ErrNoTable, count, length)
	}
	return nil
}

// partitionsOf returns a table's partitions.
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

// wholeSectors reads any range of a device by reading whole sectors.
type wholeSectors struct {
	r      io.ReaderAt
	sector int64
}

// ReadAt reads the sectors that contain the requested bytes.
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

// readable adapts a disk to the interface that the library reads from.
type readable struct{ *io.SectionReader }

// Stat is needed by the library's interface only and returns an error.
func (readable) Stat() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

// Close does nothing, because the caller owns the disk.
func (readable) Close() error { return nil }
