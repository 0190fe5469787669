package disk

import (
	"cmp"
	"fmt"
	"slices"

	"cloudlets/images/bytesize"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/md"
	"cloudlets/images/disk/slots"

	"github.com/diskfs/go-diskfs/partition/gpt"
)

const (
	// defaultESP has room for several kernels with their RAM disks.
	defaultESP = 512 * mib
	// minESP is the smallest partition that gets FAT32. Some firmware ignores an
	// ESP with another kind of FAT. With larger sectors clusters are larger too,
	// so FAT32 needs a larger partition.
	minESP     = 128 * mib
	minESP4K   = 260 * mib
	minRoot    = 64 * mib
	backupRoom = mib // for the backup table, at the end
	// smallDisk is the size below which a disk gets a smaller ESP.
	smallDisk = 8 * gib
)

// Options are the choices that a layout's caller may make. The zero value is
// valid.
type Options struct {
	// Arch selects the root partition's type. If it is empty, it means [bootloader.AMD64].
	Arch bootloader.Arch
	// ESPSize is the EFI system partition's size in bytes. It is rounded up to
	// whole MiB. The default, 0, means 512 MiB, or less on disks below 8 GiB.
	ESPSize int64
	// MinRoot is the smallest acceptable size of the root partition in bytes.
	// It is at least 64 MiB.
	MinRoot int64
	// Slots makes two root partitions of the same size, so that a system can be
	// updated while the one before stays. MinRoot is the smallest size of each.
	Slots bool
	// Mirror makes the root partitions and the persistent one members of mirrors, whose
	// other members are on a second disk; see [Layout.Second]. It takes Slots. Nothing of
	// such a disk is kept by laying it out anew.
	Mirror bool
	// Persistent is the size in bytes of a partition at the end of the disk for
	// data that survives a reinstallation. It is rounded up to whole MiB. If it
	// is 0, there is no such partition.
	Persistent int64
	// Keep is an existing persistent partition to be left where it is. If it is
	// set, Persistent is ignored.
	Keep *Partition
	// GUIDs are the identifiers to use. Those that are empty are derived from
	// Seed, or drawn at random if Seed is empty too.
	GUIDs GUIDs
	// Seed is a text from which GUIDs are derived. It must differ between disks,
	// e.g. a machine's address with the serial number of its disk.
	Seed string
}

// Partition is one partition of a layout.
type Partition struct {
	Number int    // from 1
	Name   string // in the table, e.g. "esp"
	Type   string // the GUID of its type
	GUID   string // its own GUID in lower case; Linux calls it PARTUUID
	Offset int64  // in bytes
	Size   int64  // in bytes
	// Array is the UUID of the mirror (an array of md) that the partition is a member of,
	// or "" if it is of none.
	Array string
}

// Room is how many bytes of the partition a filesystem can have: all of it, but for what
// a mirror takes at its end.
func (p Partition) Room() int64 {
	if p.Array == "" {
		return p.Size
	}
	room, err := md.Room(p.Size)
	if err != nil {
		return 0 // it is smaller than any partition of a layout
	}
	return room
}

// Layout says where the parts of a disk lie.
type Layout struct {
	Size   int64 // of the disk, in bytes
	Sector int64 // the disk's logical sector, in bytes
	Arch   bootloader.Arch
	GUID   string // of the disk, in lower case

	BIOSBoot Partition // 1: GRUB's core image
	ESP      Partition // 2: loaders, kernels and RAM disks, on FAT
	Root     Partition // 3: the root filesystem

	// Other is the root partition of the slot beside Root, on a disk with two slots;
	// otherwise its Size is 0. Slot is that of Root, or "".
	Other Partition // 5, or 3 if Root is 5
	Slot  slots.Name
	// Persistent is for data that survives a reinstallation. If its Size is 0,
	// there is no such partition.
	Persistent Partition // 4
	// Kept means that the partition already exists. It is left untouched, except
	// that its last 4 KiB page may be rewritten, because it may share that page
	// with the backup table.
	Kept bool
}

// persistentName is the name by which a persistent partition is recognised.
const persistentName = "persistent"

// The numbers of the root partitions.
const (
	rootNumber  = 3
	slotBNumber = 5
)

// slotName is the name by which the root partition of a slot is recognised.
func slotName(n slots.Name) string { return "root-" + string(n) }

// NewLayout divides a disk of size bytes with logical sectors of 512 or 4096
// bytes. The error for a disk that is too small states the size that is needed.
func NewLayout(size, sector int64, opts Options) (Layout, error) {
	if sector != 512 && sector != 4096 {
		return Layout{}, fmt.Errorf("lay out disk: logical sectors of %d bytes are not supported: use 512 or 4096", sector)
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
		l.Arch = bootloader.AMD64
	}
	l.BIOSBoot = Partition{1, "bios-boot", string(gpt.BIOSBoot), guids.BIOSBoot, mib, mib, ""}
	l.ESP = Partition{2, "esp", string(gpt.EFISystemPartition), guids.ESP, 2 * mib, espSize(size, sector, opts.ESPSize), ""}
	l.Root = Partition{rootNumber, "root", rootType, guids.Root, l.ESP.end(), 0, ""}
	least := opts.least()
	needed := l.Root.Offset + least + wholeMiB(opts.Persistent) + backupRoom
	if opts.Keep == nil && size < needed {
		return Layout{}, fmt.Errorf("lay out disk: it has %s (%d bytes), but %s (%d bytes) are needed: use a larger disk or a smaller image",
			bytesize.Binary(size), size, bytesize.Binary(needed), needed)
	}
	end := l.usable()
	switch {
	case opts.Keep != nil:
		if err := l.keep(*opts.Keep, least); err != nil {
			return Layout{}, err
		}
		end = l.Persistent.Offset
	case opts.Persistent > 0:
		l.Persistent = Partition{4, persistentName, string(gpt.LinuxFilesystem), guids.Persistent, end - wholeMiB(opts.Persistent), wholeMiB(opts.Persistent), ""}
		end = l.Persistent.Offset
	}
	l.Root.Size = end - l.Root.Offset
	if opts.Slots {
		l.divide(guids.RootB)
	}
	if opts.Mirror {
		return l.mirrored(opts)
	}
	return l, nil
}

// least is how many bytes the root partitions need together.
func (o Options) least() int64 {
	root := max(o.MinRoot, minRoot)
	if o.Mirror {
		root += mirrorRoom
	}
	if o.Slots {
		return 2 * wholeMiB(root)
	}
	return root
}

// divide makes two slots of the root partition.
func (l *Layout) divide(guid string) {
	l.Slot, l.Other = slots.A, l.Root
	l.Root.Name, l.Root.Size = slotName(slots.A), l.Root.Size/2/mib*mib
	l.Other.Number, l.Other.Name, l.Other.GUID = slotBNumber, slotName(slots.B), guid
	l.Other.Offset, l.Other.Size = l.Root.end(), l.Root.Size
}

// In returns the layout of a disk with two slots whose Root is a given one.
func (l Layout) In(slot slots.Name) Layout {
	if slot != l.Slot {
		l.Slot, l.Root, l.Other = slot, l.Other, l.Root
	}
	return l
}

// keep leaves the existing partition p where it is and checks that root bytes fit
// before it. Other tools may have grown p up to the backup table.
func (l *Layout) keep(p Partition, root int64) error {
	switch {
	case p.Offset%mib != 0 || p.Size%l.Sector != 0 || p.Size <= 0 || p.end() > l.Size/l.Sector*l.Sector-l.backupSize():
		return fmt.Errorf("lay out disk: its persistent partition of %d bytes at byte %d was not made by this program and cannot be kept: install without keeping it", p.Size, p.Offset)
	case p.Offset < l.Root.Offset+root:
		return fmt.Errorf("lay out disk: there are %s (%d bytes) before its persistent partition, but %s (%d bytes) are needed: use a smaller image, or do not keep the partition",
			bytesize.Binary(p.Offset), p.Offset, bytesize.Binary(l.Root.Offset+root), l.Root.Offset+root)
	}
	l.Persistent, l.Kept = p, true
	l.Persistent.Number = 4
	return nil
}

// usable is the end of the space for partitions, in bytes.
func (l Layout) usable() int64 { return (l.Size - l.backupSize()) / mib * mib }

func wholeMiB(n int64) int64 { return (n + mib - 1) / mib * mib }

// SizeFor returns the size in bytes of the smallest disk whose root partition has
// root bytes.
func SizeFor(root, sector int64, opts Options) int64 {
	opts.MinRoot = root
	least := wholeMiB(opts.least()) + wholeMiB(opts.Persistent) + backupRoom
	size := 2*mib + least
	for { // a larger disk may have a larger ESP
		next := 2*mib + espSize(size, sector, opts.ESPSize) + least
		if next <= size {
			return size
		}
		size = next
	}
}

// Partitions returns the layout's partitions in the order of their offsets.
func (l Layout) Partitions() []Partition {
	all := []Partition{l.BIOSBoot, l.ESP, l.Root}
	if l.Other.Size > 0 {
		all = append(all, l.Other)
	}
	if l.Persistent.Size > 0 {
		all = append(all, l.Persistent)
	}
	slices.SortFunc(all, func(a, b Partition) int { return cmp.Compare(a.Offset, b.Offset) })
	return all
}

// backupSize is the length of the backup table at the end of the disk: 128
// entries of 128 bytes, and a header.
func (l Layout) backupSize() int64 { return 128*128 + l.Sector }

func (p Partition) end() int64 { return p.Offset + p.Size }

// espSize returns the ESP's size: the size asked for, or a default that suits a
// disk of this size.
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

// rootType returns the partition type that the Discoverable Partitions
// Specification assigns to the root filesystem of an architecture.
func rootType(a bootloader.Arch) (string, error) {
	switch a {
	case bootloader.AMD64, "":
		return string(gpt.LinuxRootX86_64), nil
	case bootloader.ARM64:
		return string(gpt.LinuxRootArm64), nil
	}
	return "", fmt.Errorf("lay out disk: there are no boot loaders for the architecture %q: use %s or %s", a, bootloader.AMD64, bootloader.ARM64)
}
