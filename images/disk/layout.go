package disk

import (
	"fmt"

	"cloudlets/images/bytesize"

	"github.com/diskfs/go-diskfs/partition/gpt"
)

const (
	// defaultESP holds several kernels with their RAM disks.
	defaultESP = 512 * mib
	// minESP is the least for FAT32, without which some firmware will not
	// look at the partition; larger sectors make for larger clusters.
	minESP     = 128 * mib
	minESP4K   = 260 * mib
	minRoot    = 64 * mib
	backupRoom = mib // for the backup table, at the end
	// smallDisk is the size from which the whole default ESP is affordable.
	smallDisk = 8 * gib
)

// Options are what a layout does not find out by itself.
type Options struct {
	// Arch selects the root partition's type; empty is AMD64.
	Arch Arch
	// ESPSize is the EFI system partition's size in bytes, rounded up to
	// whole MiB; 0 is 512 MiB, and less on disks under 8 GiB.
	ESPSize int64
	// MinRoot is what the root filesystem needs at least, in bytes; 0 is
	// 64 MiB.
	MinRoot int64
	// Persistent is the size in bytes of a partition at the disk's end for
	// what outlives the system, rounded up to whole MiB; 0 is none.
	Persistent int64
	// Keep is such a partition that is on the disk: it stays where it is, and
	// Persistent does not count.
	Keep *Partition
	// GUIDs that are empty are derived from Seed, or drawn at random where
	// that is empty too.
	GUIDs GUIDs
	// Seed makes the same GUIDs each time: something that no other disk
	// has, like a machine's address and its disk's serial.
	Seed string
}

// Partition is one partition of a layout.
type Partition struct {
	Number int    // from 1
	Name   string // in the table, "esp"
	Type   string // GUID of its type
	GUID   string // its own, in lower case: Linux's PARTUUID
	Offset int64  // in bytes
	Size   int64  // in bytes
}

// Layout is where the parts of a disk lie.
type Layout struct {
	Size   int64 // of the disk, in bytes
	Sector int64 // the disk's logical sector, in bytes
	Arch   Arch
	GUID   string // of the disk, in lower case

	BIOSBoot Partition // 1: GRUB's core image
	ESP      Partition // 2: loaders, kernels and RAM disks, on FAT
	Root     Partition // 3: the root filesystem

	// Persistent is for what outlives the system; without a size, there is
	// none. Kept says that it is on the disk already, and is not touched, but
	// for what is in one page of 4 KiB with the table's copy behind it.
	Persistent Partition // 4
	Kept       bool
}

// persistentName is what tells a persistent partition from others.
const persistentName = "persistent"

// NewLayout divides a disk of size bytes with logical sectors of 512 or 4096
// bytes. The error for a disk that is too small says what is needed.
func NewLayout(size, sector int64, opts Options) (Layout, error) {
	if sector != 512 && sector != 4096 {
		return Layout{}, fmt.Errorf("lay out disk: logical sectors of %d bytes: only 512 and 4096 are known", sector)
	}
	if opts.ESPSize < 0 || opts.MinRoot < 0 || opts.Persistent < 0 {
		return Layout{}, fmt.Errorf("lay out disk: sizes must not be negative (ESP %d, root %d, persistent partition %d)", opts.ESPSize, opts.MinRoot, opts.Persistent)
	}
	rootType, err := rootType(opts.Arch)
	if err != nil {
		return Layout{}, err
	}
	guids, err := opts.GUIDs.complete(opts.Seed)
	if err != nil {
		return Layout{}, err
	}
	l := Layout{Size: size, Sector: sector, Arch: opts.Arch, GUID: guids.Disk}
	if l.Arch == "" {
		l.Arch = AMD64
	}
	l.BIOSBoot = Partition{1, "bios-boot", string(gpt.BIOSBoot), guids.BIOSBoot, mib, mib}
	l.ESP = Partition{2, "esp", string(gpt.EFISystemPartition), guids.ESP, 2 * mib, espSize(size, sector, opts.ESPSize)}
	l.Root = Partition{3, "root", rootType, guids.Root, l.ESP.end(), 0}
	needed := l.Root.Offset + max(opts.MinRoot, minRoot) + wholeMiB(opts.Persistent) + backupRoom
	if opts.Keep == nil && size < needed {
		return Layout{}, fmt.Errorf("lay out disk: it has %s (%d bytes), and %s (%d bytes) are needed: take a larger disk or a smaller image",
			bytesize.Binary(size), size, bytesize.Binary(needed), needed)
	}
	end := l.usable()
	switch {
	case opts.Keep != nil:
		if err := l.keep(*opts.Keep, max(opts.MinRoot, minRoot)); err != nil {
			return Layout{}, err
		}
		end = l.Persistent.Offset
	case opts.Persistent > 0:
		l.Persistent = Partition{4, persistentName, string(gpt.LinuxFilesystem), guids.Persistent, end - wholeMiB(opts.Persistent), wholeMiB(opts.Persistent)}
		end = l.Persistent.Offset
	}
	l.Root.Size = end - l.Root.Offset
	return l, nil
}

// keep leaves a partition that is on the disk where it is. Other tools may have
// let it grow, up to the table's copy.
func (l *Layout) keep(p Partition, root int64) error {
	switch {
	case p.Offset%mib != 0 || p.Size%l.Sector != 0 || p.Size <= 0 || p.end() > l.Size/l.Sector*l.Sector-l.backupSize():
		return fmt.Errorf("lay out disk: its persistent partition, of %d bytes at byte %d, is not one that was made here: it cannot be kept", p.Size, p.Offset)
	case p.Offset < l.Root.Offset+root:
		return fmt.Errorf("lay out disk: before its persistent partition are %s (%d bytes), and %s (%d bytes) are needed: take a smaller image, or do not keep the partition",
			bytesize.Binary(p.Offset), p.Offset, bytesize.Binary(l.Root.Offset+root), l.Root.Offset+root)
	}
	l.Persistent, l.Kept = p, true
	l.Persistent.Number = 4
	return nil
}

// usable is the end of what partitions may take.
func (l Layout) usable() int64 { return (l.Size - l.backupSize()) / mib * mib }

func wholeMiB(n int64) int64 { return (n + mib - 1) / mib * mib }

// SizeFor is the size in bytes of the smallest disk whose root partition has
// room for root bytes.
func SizeFor(root, sector int64, opts Options) int64 {
	size := 2*mib + wholeMiB(max(root, minRoot)) + wholeMiB(opts.Persistent) + backupRoom
	for { // a larger disk may have a larger ESP
		next := 2*mib + espSize(size, sector, opts.ESPSize) + wholeMiB(max(root, minRoot)) + wholeMiB(opts.Persistent) + backupRoom
		if next <= size {
			return size
		}
		size = next
	}
}

// Partitions are all of them, in the order of their places.
func (l Layout) Partitions() []Partition {
	all := []Partition{l.BIOSBoot, l.ESP, l.Root}
	if l.Persistent.Size > 0 {
		all = append(all, l.Persistent)
	}
	return all
}

// backupSize is the length of the table's copy at the end: an array of 128
// entries of 128 bytes, and a header.
func (l Layout) backupSize() int64 { return 128*128 + l.Sector }

func (p Partition) end() int64 { return p.Offset + p.Size }

// espSize is what was asked for, or what a disk of this size can spare.
func espSize(size, sector, asked int64) int64 {
	least := int64(minESP)
	if sector > 512 {
		least = minESP4K
	}
	if asked == 0 {
		asked = defaultESP
		if size < smallDisk {
			asked = size / 16
		}
	}
	return wholeMiB(max(asked, least))
}

// rootType is the type that the Discoverable Partitions Specification gives
// the root filesystem of an architecture.
func rootType(a Arch) (string, error) {
	switch a {
	case AMD64, "":
		return string(gpt.LinuxRootX86_64), nil
	case ARM64:
		return string(gpt.LinuxRootArm64), nil
	}
	return "", fmt.Errorf("lay out disk: no boot loaders are known for the architecture %q: use %s or %s", a, AMD64, ARM64)
}
