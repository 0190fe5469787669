package target

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/uki"
)

// Plan holds everything about a disk that is decided before its size is known.
// It is plain data, and can be sent to the machine that has the disk. The code
// that writes the disk, to a file in order or to a device in place, gets the
// layout, the filesystems and the boot menu from the methods of the plan.
type Plan struct {
	// ID is the identifier from which all others of the disk are derived. Two
	// disks must not have the same ID.
	ID uuid.UUID `json:"id"`
	// Arch is the architecture of the machine.
	Arch bootloader.Arch `json:"arch,omitempty"`
	// Filesystem is that of the root: "ext4", "xfs" or "btrfs".
	Filesystem string `json:"filesystem"`
	// RootSize and ESPSize are the smallest sizes in bytes of the root
	// filesystem and the EFI system partition.
	RootSize int64 `json:"rootSize"`
	ESPSize  int64 `json:"espSize"`
	// Reserve makes the EFI system partition larger if the disk has room, so
	// that later kernels fit too.
	Reserve bool `json:"reserve,omitempty"`
	// Entries are those of the boot menu. The first is the default. Timeout is
	// how long a person has to choose.
	Entries []Entry       `json:"entries"`
	Timeout time.Duration `json:"timeout,omitempty"`
	// Shim makes the disk boot with Debian's signed shim and GRUB.
	Shim bool `json:"shim,omitempty"`
	// Signatures make the disk boot with the machine owner's key: they are for the
	// boot loader and for each entry as a unified kernel image. See [Plan.Sign].
	Signatures uki.Signatures `json:"signatures,omitempty"`
	// Grow makes the system grow into a larger disk whenever it starts.
	Grow bool `json:"grow,omitempty"`
	// Persistent is the size in bytes of a new partition for data that survives
	// a reinstallation, or 0. Keep keeps such a partition that is on the disk
	// already; then Persistent is ignored. The agent sets Keep when it has found one, and
	// the verb disk when a person gives --keep-persistent.
	Persistent int64 `json:"persistent,omitempty"`
	Keep       bool  `json:"keep,omitempty"`
	// Slots makes room for two systems, of which one is updated while the other stays;
	// see [slots]. RootSize is that of each.
	Slots bool `json:"slots,omitempty"`
	// Mirror puts the slots and the persistent partition on two disks, each of which has
	// all of them. Its kernels start with the RAM disk at [MirrorRAMDisk].
	Mirror bool `json:"mirror,omitempty"`
	// Places are those of the persistent paths, if the disk has such a
	// partition. The image's files there take about PersistentUse bytes.
	Places        []Place `json:"places,omitempty"`
	PersistentUse int64   `json:"persistentUse,omitempty"`
}

// Entry is one entry of a plan's boot menu.
type Entry struct {
	// ID, Title and Version have the same meaning as in [bootloader.Entry].
	ID      string `json:"id"`
	Title   string `json:"title"`
	Version string `json:"version"`
	// Kernel and Initrd are paths in the image, with no links left to follow.
	// Initrd may be "".
	Kernel string `json:"kernel"`
	Initrd string `json:"initrd,omitempty"`
	// Cmdline is the kernel's command line, without the words for the root
	// filesystem, because its partition depends on the disk's layout.
	Cmdline string `json:"cmdline"`
}

// NewPlan plans a disk of an image. The command lines of the image's kernels
// must be rendered already. The options must have an ID.
func NewPlan(im Image, o Options) (Plan, error) {
	p := Plan{
		ID: o.ID, Arch: o.Arch, Filesystem: o.Filesystem, RootSize: im.RootSize, ESPSize: o.SecureBoot.Room(im.BootSize), Reserve: o.Reserve,
		Timeout: o.Timeout, Shim: o.SecureBoot.Shim && o.SecureBoot.Signer == nil, Grow: o.Grow, Persistent: o.Persistent, Keep: o.keep(), Slots: o.Slots, Mirror: o.Mirror,
	}
	if o.Mirror {
		p.RootSize += o.MirrorRAMDisk
	}
	if o.Slots {
		p.ESPSize, p.Reserve = slotsESP, false // the kernels are in the slots
	}
	if p.Arch == "" {
		p.Arch = bootloader.Arch(im.Kernels[0].Arch)
	}
	if p.Filesystem == "" {
		p.Filesystem = "ext4"
	}
	if o.preinit() {
		if im.noInit != nil {
			return p, im.noInit
		}
		p.RootSize += preinitRoom
	}
	if o.persistent() {
		if im.noPlaces != nil {
			return p, im.noPlaces
		}
		p.Places, p.PersistentUse = im.Places, im.PersistentUse
	}
	p.Entries = im.Menu(o)
	return p, nil
}

// slotsESP is room in bytes for the boot loaders alone. A disk gives it more, as FAT32
// has a smallest size.
const slotsESP = 32 << 20

// Menu returns the entries of the boot menu of an image's disk, the newest
// kernel first.
func (im Image) Menu(o Options) []Entry {
	return entries(im.Title, im.Kernels, func(k boot.Kernel) string {
		return o.start(boot.JoinWords(k.Cmdline, o.Cmdline, o.console(k.Cmdline)), im.Init)
	})
}

// entries returns an entry for each kernel. If several kernels have the same
// version, e.g. because one is for rescue, the names of their files distinguish
// them.
func entries(title string, kernels []boot.Kernel, cmdline func(boot.Kernel) string) []Entry {
	var list []Entry
	taken := map[string]bool{}
	for n, k := range kernels {
		e := Entry{Title: title + ", Linux " + k.Version, Version: k.Version, Kernel: k.Path, Initrd: k.Initrd, Cmdline: cmdline(k)}
		if e.Version == "" || taken[e.Version] {
			e.Version = k.Path[strings.LastIndex(k.Path, "/")+1:]
			e.Title = title + ", " + e.Version
		}
		if taken[e.Version] {
			e.Version = fmt.Sprintf("%s-%d", e.Version, n)
		}
		taken[e.Version] = true
		e.ID = fmt.Sprintf("cloudlet-%d-%s", n, e.Version)
		list = append(list, e)
	}
	return list
}

// console returns the word for the console. It returns "" if there is none to
// add, or if the kernel's words in a command line or in the options' Cmdline name its
// device already.
func (o Options) console(cmdline string) string {
	device, _, _ := strings.Cut(o.Console, ",")
	for _, word := range boot.KernelWords(boot.JoinWords(cmdline, o.Cmdline)) {
		named, _, _ := strings.Cut(word, ",")
		if named == "console="+device {
			return ""
		}
	}
	if device == "" {
		return ""
	}
	return "console=" + o.Console
}

// SecureBoot is how firmware that insists on signatures boots the disk. It needs no
// key: what a key has signed is among the plan's signatures.
func (p Plan) SecureBoot() bootloader.SecureBoot {
	if p.Signatures != nil {
		return bootloader.SecureBoot{Signer: p.Signatures}
	}
	return bootloader.SecureBoot{Shim: p.Shim}
}

// Sign signs the disk with the owner's key: it makes the programs of the disk from a
// tree and boot loaders, and keeps the signatures alone. The plan must not keep a
// partition. Whoever carries the plan out makes the same programs.
func (p *Plan) Sign(ctx context.Context, t images.Tree, loaders bootloader.Files, key uki.Owner) error {
	// The root partition's identifier, which the kernel's words may name, is the same
	// on a disk of any size.
	l, err := p.Layout(disk.SizeFor(p.RootSize, 512, p.layoutOptions(nil)), 512, nil)
	if err != nil {
		return fmt.Errorf("sign the boot menu: %w", err)
	}
	menu, err := p.Menu(l, func(file string) (bootloader.Payload, error) { return payload(t, file) })
	if err != nil {
		return fmt.Errorf("sign the boot menu: %w", err)
	}
	if p.Signatures, err = bootloader.Signatures(ctx, key, p.Arch, menu, loaders); err != nil {
		return fmt.Errorf("sign the boot menu: %w", err)
	}
	return nil
}

// diskSeed begins the text from which the GUIDs of the partitions are derived.
const diskSeed = "cloudlets target "

func (p Plan) seed() string { return diskSeed + p.ID.String() }

// layoutOptions returns the options for the disk's layout. Kept is the partition
// to keep, or nil.
func (p Plan) layoutOptions(kept *disk.Partition) disk.Options {
	return disk.Options{Arch: p.Arch, ESPSize: p.ESPSize, MinRoot: p.RootSize, Slots: p.Slots, Mirror: p.Mirror, Seed: p.seed(), Persistent: p.Persistent, Keep: kept}
}

// Layout lays out a disk of size bytes with logical sectors of sector bytes.
// Kept is the persistent partition on the disk if the plan keeps one, see
// [disk.FindPersistent], and otherwise nil.
func (p Plan) Layout(size, sector int64, kept *disk.Partition) (disk.Layout, error) {
	if p.Keep != (kept != nil) {
		return disk.Layout{}, errors.New("lay out disk: a persistent partition is kept if, and only if, the plan says so")
	}
	options := p.layoutOptions(kept)
	if p.Reserve {
		roomy := options
		roomy.ESPSize = 0
		if l, err := disk.NewLayout(size, sector, roomy); err == nil && l.ESP.Size >= p.ESPSize {
			return l, nil
		}
	}
	return disk.NewLayout(size, sector, options)
}

// RootLabel is the volume name of a cloudlet's root filesystem.
const RootLabel = boot.RootLabel

// RootUUID is the identifier of the root filesystem on the layout's Root.
func (p Plan) RootUUID(l disk.Layout) uuid.UUID {
	return derived(p.ID, "root filesystem"+string(l.Slot))
}

// Root returns the options for the root filesystem, if it is ext4. The caller
// must add its size. See [Options] for stale.
func (p Plan) Root(l disk.Layout, at time.Time, stale bool) ext4.Options {
	return ext4.Options{Label: RootLabel, Time: at, Stale: stale, UUID: p.RootUUID(l), HashSeed: derived(p.ID, "directory hash")}
}

// PersistentFilesystem plans the filesystem of a new persistent partition. It
// returns nil if the layout has no new one. The filesystem is empty, because the
// system copies the image's files for it when it first starts. If these would
// not fit, PersistentFilesystem returns an error.
func (p Plan) PersistentFilesystem(ctx context.Context, l disk.Layout, at time.Time, stale bool) (*ext4.Layout, error) {
	if l.Persistent.Size == 0 || l.Kept {
		return nil, nil
	}
	made, err := ext4.Plan(ctx, nil, ext4.Options{
		Size: l.Persistent.Room(), Label: "persistent", Time: at, Stale: stale,
		UUID: derived(p.ID, "persistent filesystem"), HashSeed: derived(p.ID, "persistent directory hash"),
	})
	if err != nil {
		return nil, err
	}
	if free := made.Free(); p.PersistentUse > free {
		return nil, fmt.Errorf("what the image has at its persistent paths takes about %d bytes, and the persistent partition has room for %d: make it larger", p.PersistentUse, free)
	}
	return made, nil
}

// derived derives an identifier for the named purpose from id.
func derived(id uuid.UUID, name string) uuid.UUID { return uuid.NewSHA1(id, []byte(name)) }

// Menu returns the boot menu of the disk with a layout. Open returns the content
// of a file of the image.
func (p Plan) Menu(l disk.Layout, open func(file string) (bootloader.Payload, error)) (bootloader.Menu, error) {
	return diskMenu(p.Entries, p.Timeout, open, func(e Entry) string { return p.cmdline(l, e) })
}

// cmdline returns an entry's whole command line, of the disk with a layout.
func (p Plan) cmdline(l disk.Layout, e Entry) string {
	return boot.JoinWords(p.rootWord(l, e), "rw", e.Cmdline)
}

func diskMenu(list []Entry, timeout time.Duration, open func(string) (bootloader.Payload, error), cmdline func(Entry) string) (menu bootloader.Menu, err error) {
	menu.Timeout = timeout
	for _, e := range list {
		entry := bootloader.Entry{ID: e.ID, Title: e.Title, Version: e.Version, Cmdline: cmdline(e)}
		if entry.Kernel, err = kernelPayload(e.Kernel, open); err != nil {
			return menu, err
		}
		if e.Initrd != "" {
			if entry.Initrd, err = open(e.Initrd); err != nil {
				return menu, err
			}
		}
		menu.Entries = append(menu.Entries, entry)
	}
	return menu, nil
}

// rootWord returns the word that names the root filesystem for a kernel. A
// kernel without a RAM disk can find a partition, but not a filesystem's UUID.
func (p Plan) rootWord(l disk.Layout, e Entry) string {
	if p.Mirror {
		return p.mirrorWords(l)
	}
	if e.Initrd == "" {
		return "root=PARTUUID=" + l.Root.GUID
	}
	return "root=UUID=" + p.RootUUID(l).String()
}
