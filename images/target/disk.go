package target

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/slots"
	"cloudlets/images/disk/sparse"
)

// MenuTimeout is how long the boot menu of a disk waits for a person if a server installs
// the disk, or if it has two slots.
const MenuTimeout = time.Second

// Options say how a disk is made. The zero value makes the smallest disk.
type Options struct {
	// EntryPoint names the kernel entry point; "" is the default one.
	EntryPoint string
	// Size is the disk's size in bytes. 0 makes it as small as possible.
	Size int64
	// Free is the free space, in bytes, on the root filesystem of a disk
	// without a Size.
	Free int64
	// Round returns the size in bytes that a disk of at least the given size
	// must have. If it is nil, any size will do.
	Round func(size int64) (int64, error)
	// Sector is the device's logical sector in bytes; 0 is 512.
	Sector int64
	// Stale says that skipped bytes keep their old content, as on a device,
	// and do not read as zeros.
	Stale bool
	// Arch is the architecture of the machine; "" is that of the newest
	// kernel.
	Arch bootloader.Arch
	// Filesystem is the root's; "" is ext4, which is the only one that
	// [NewDisk] makes.
	Filesystem string
	// Reserve makes the EFI system partition larger if the disk has room.
	Reserve bool
	// Cmdline is added to the kernels' command lines.
	Cmdline string
	// Console is added as a console to command lines that do not name its
	// device, e.g. "ttyS0,115200n8".
	Console string
	// ID and Time replace those that come from the content.
	ID   uuid.UUID
	Time time.Time
	// SecureBoot is how firmware that insists on signatures boots the disk.
	SecureBoot bootloader.SecureBoot
	// Timeout is how long the boot menu waits for a person.
	Timeout time.Duration
	// Grow makes the system grow into a larger disk whenever it starts.
	Grow bool
	// Persistent is the size in bytes of a partition for the manifest's
	// persistent paths; 0 is none.
	Persistent int64
	// Keep is such a partition that is on the device already and is not
	// changed. KeepFound is like Keep, but the agent that writes the disk finds
	// the partition itself.
	Keep      *disk.Partition
	KeepFound bool
	// Slots makes room for two systems, of which the image's is the first; see [slots].
	Slots bool
	// Mirror puts the slots and the persistent partition on two disks; see [Plan]. [NewDisk]
	// makes no such disks. MirrorRAMDisk is the size in bytes of the RAM disk that their
	// kernels start with.
	Mirror        bool
	MirrorRAMDisk int64
	// Program opens cloudlets for the disk's architecture. The kernel starts it
	// before the image's own init if Grow, Persistent, Keep, KeepFound or Slots is set.
	Program Program
}

// Disk is a planned disk: the place of everything on it is decided, and nothing
// is written yet.
type Disk struct {
	Identity
	Plan    Plan
	Layout  disk.Layout
	Kernels []boot.Kernel
	// Notices are sentences about what could keep the disk's system from
	// starting.
	Notices []string

	secure bootloader.SecureBoot
	tree   images.Tree
	menu   bootloader.Menu
	boot   int64 // bytes of kernels and RAM disks
	root   *ext4.Layout
	// persistent is nil if the disk has no such partition, or keeps one.
	persistent *ext4.Layout
}

// NewDisk plans a disk with one partition table, boot loaders for BIOS and
// UEFI, the system's kernels, and its files on ext4.
func NewDisk(ctx context.Context, s System, o Options) (*Disk, error) {
	d, err := newDisk(ctx, s, o)
	if err != nil {
		return nil, fmt.Errorf("make a disk of image %s: %w", s.Name, err)
	}
	return d, nil
}

func newDisk(ctx context.Context, s System, o Options) (*Disk, error) {
	d, o, err := begin(ctx, s, o)
	if err != nil {
		return nil, err
	}
	if err := d.place(ctx, s, o); err != nil {
		return nil, err
	}
	return d, d.setMenu()
}

// begin decides all that does not depend on the disk's layout. It returns the options
// with the disk's ID.
func begin(ctx context.Context, s System, o Options) (*Disk, Options, error) {
	im, err := Look(ctx, s, o.EntryPoint, o.persistent())
	if err != nil {
		return nil, o, err
	}
	d := &Disk{Kernels: im.Kernels, secure: o.SecureBoot, tree: s.Tree, boot: im.BootSize}
	if d.Identity, err = s.Identify(ctx); err != nil {
		return nil, o, err
	}
	if o.ID != uuid.Nil {
		d.ID = o.ID
	}
	if !o.Time.IsZero() {
		d.Time = o.Time
	}
	o.ID = d.ID
	var taken []string
	if im.Kernels, taken, err = s.Rendered(ctx, im.Kernels); err != nil {
		return nil, o, err
	}
	d.Notices = append(im.Notices, taken...)
	if d.Plan, err = NewPlan(im, o); err != nil {
		return nil, o, err
	}
	if o.Slots {
		d.boot = 0 // the kernels stay in their slot
		if o.SecureBoot.Signer != nil {
			return nil, o, errors.New("a disk with two slots starts with Debian's signed shim or without signatures, and not with a key of your own: use --secure-boot, or a disk with one slot")
		}
	}
	return d, o, nil
}

// setMenu makes the boot menu of the disk's layout, and checks it.
func (d *Disk) setMenu() (err error) {
	d.menu, err = d.Plan.Menu(d.Layout, func(file string) (bootloader.Payload, error) { return payload(d.tree, file) })
	if err != nil {
		return err
	}
	return d.secure.Check(d.menu)
}

// place decides where everything goes. Without a Size it plans the smallest
// root filesystem, lays out the disk around that, and then enlarges the
// filesystem to its partition. With a Size the layout of the disk comes first.
func (d *Disk) place(ctx context.Context, s System, o Options) (err error) {
	source, err := d.source(s, o)
	if err != nil {
		return err
	}
	sector, size := sectorOf(o), o.Size
	d.Plan.RootSize = 0
	if size == 0 {
		l := disk.Layout{}
		if o.Slots {
			l.Slot = slots.A // its filesystem's identifier is its own
		}
		smallest := d.Plan.Root(l, d.Time, o.Stale)
		smallest.Free = o.Free
		if d.root, err = ext4.Plan(ctx, source, smallest); err != nil {
			return err
		}
		d.Plan.RootSize = d.root.Size()
		size = disk.SizeFor(d.Plan.RootSize, sector, d.Plan.layoutOptions(o.Keep))
	}
	if o.Round != nil {
		if size, err = o.Round(size); err != nil {
			return err
		}
	}
	if d.Layout, err = d.Plan.Layout(size, sector, o.Keep); err != nil {
		return err
	}
	if d.persistent, err = d.Plan.PersistentFilesystem(ctx, d.Layout, d.Time, o.Stale); err != nil {
		return err
	}
	if d.root != nil {
		return d.root.Resize(d.Layout.Root.Size)
	}
	whole := d.Plan.Root(d.Layout, d.Time, o.Stale)
	whole.Size = d.Layout.Root.Size
	d.root, err = ext4.Plan(ctx, source, whole)
	return err
}

// source returns the files of the root filesystem.
func (d *Disk) source(s System, o Options) (images.Source, error) {
	if !o.Slots {
		return d.withPreinit(s, o)
	}
	// What the boot menu says of a slot is the same on a disk of any size.
	p := d.Plan
	p.Keep, p.Persistent = false, 0
	l, err := p.Layout(disk.SizeFor(p.RootSize, 512, p.layoutOptions(nil)), 512, nil)
	if err != nil {
		return nil, err
	}
	return d.slotSource(s, o, l)
}

// slotSource returns the files of a slot, which is the layout's Root.
func (d *Disk) slotSource(s System, o Options, l disk.Layout) (images.Source, error) {
	source, err := d.withPreinit(s, o)
	if err != nil {
		return nil, err
	}
	return d.Plan.withSlot(source, s.Tree, l, d.Time)
}

func sectorOf(o Options) int64 {
	if o.Sector == 0 {
		return 512
	}
	return o.Sector
}

// Boot is what starts the disk's system without its boot loader: its newest
// kernel, with a command line that names the disk's root filesystem.
func (d *Disk) Boot() Boot {
	return Boot{Kernel: d.Kernels[0], Cmdline: d.menu.Entries[0].Cmdline, tree: d.tree}
}

// DefaultTitle is what the boot menu calls an image whose manifest has no
// name. The name of its folder is not used, so that the same image in another
// folder makes the same disk.
const DefaultTitle = "cloudlet"

// Title is what the boot menu calls the image.
func (s System) Title() string {
	if s.Manifest.Name != "" {
		return s.Manifest.Name
	}
	return DefaultTitle
}

// LoaderNames returns the names of the boot loaders' files that the disk needs.
func (d *Disk) LoaderNames() []string {
	if d.Plan.Slots {
		return d.secure.SlotLoaderNames(d.Layout.Arch)
	}
	return d.secure.LoaderNames(d.Layout.Arch)
}

// Size is the disk's size in bytes.
func (d *Disk) Size() int64 { return d.Layout.Size }

// Estimate returns roughly how many bytes of the disk are written rather than
// skipped. It serves to show progress.
func (d *Disk) Estimate() int64 {
	total := d.boot + d.root.Used()
	if d.persistent != nil {
		total += d.persistent.Used()
	}
	return total
}

// Write writes the disk from its beginning to its end, with boot loaders.
func (d *Disk) Write(ctx context.Context, w sparse.Writer, loaders bootloader.Files) error {
	contents := disk.Contents{Loaders: loaders, Menu: d.menu, SecureBoot: d.secure, Slots: d.Plan.Slots, Time: d.Time}
	if d.persistent == nil { // an interface that holds a nil pointer would not be nil
		return d.Layout.Write(ctx, w, contents, d.root, nil)
	}
	return d.Layout.Write(ctx, w, contents, d.root, d.persistent)
}
