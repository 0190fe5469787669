package target

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/sparse"
)

// Options are what a disk is made like. The zero value makes the smallest
// one.
type Options struct {
	// EntryPoint names the kernel entry point; "" is the default one.
	EntryPoint string
	// Size is the disk's size in bytes; 0 is as small as it can be.
	Size int64
	// Free is the room for more on a disk without a Size, in bytes.
	Free int64
	// Round gives the size that a disk of at least that size must have; nil
	// takes any.
	Round func(size int64) (int64, error)
	// Sector is the device's logical sector in bytes; 0 is 512.
	Sector int64
	// Stale says that what is skipped keeps old bytes, as on a device.
	Stale bool
	// Cmdline is added to the kernels' command lines.
	Cmdline string
	// Console is a console that is added to command lines that do not name its
	// device, "ttyS0,115200n8".
	Console string
	// ID and Time replace what comes from the content.
	ID   uuid.UUID
	Time time.Time
	// SecureBoot is how firmware that insists on signatures boots the disk.
	SecureBoot disk.SecureBoot
	// Timeout is how long the boot menu waits for a person.
	Timeout time.Duration
	// Grow has the system take all of a larger disk, whenever it starts.
	Grow bool
	// Persistent is the size in bytes of a partition for the manifest's
	// persistent paths; 0 is none.
	Persistent int64
	// Keep is such a partition that is on the device, and stays as it is.
	Keep *disk.Partition
	// Program opens the program that does that on the disk's system.
	Program Program
}

// Disk is a disk all of whose places are known, and nothing of which is
// written.
type Disk struct {
	Identity
	Layout  disk.Layout
	Kernels []boot.Kernel

	secure disk.SecureBoot
	tree   images.Tree
	menu   disk.Menu
	boot   int64 // bytes of kernels and RAM disks
	root   *ext4.Layout
	// places are those of what is persistent, if that has a partition.
	places []Place
	// persistent is nil where there is no such partition, or it is kept.
	persistent *ext4.Layout
}

// diskSeed begins the name from which partitions get their GUIDs.
const diskSeed = "cloudlets target "

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
	kernels, err := bootable(s, o.EntryPoint)
	if err != nil {
		return nil, err
	}
	d := &Disk{Kernels: kernels, secure: o.SecureBoot, tree: s.Tree}
	if d.places, err = o.findPlaces(s); err != nil {
		return nil, err
	}
	if d.Identity, err = s.Identify(ctx); err != nil {
		return nil, err
	}
	if o.ID != uuid.Nil {
		d.ID = o.ID
	}
	if !o.Time.IsZero() {
		d.Time = o.Time
	}
	if err := d.place(ctx, s, o); err != nil {
		return nil, err
	}
	return d, d.makeMenu(ctx, s, o)
}

// bootable lists the kernels of an entry point, for one architecture that
// there are boot loaders for.
func bootable(s System, entry string) ([]boot.Kernel, error) {
	kernels, err := boot.Kernels(s.Manifest, s.Tree, entry)
	if err != nil {
		return nil, err
	}
	for i, k := range kernels {
		if err := k.Check(""); err != nil {
			return nil, err
		}
		if k.Version == "" {
			kernels[i].Version = fmt.Sprintf("kernel-%d", i+1)
		}
	}
	return kernels, nil
}

// place decides where everything goes: first the filesystem as small as it
// can be, then the disk around it, then the filesystem as large as that.
func (d *Disk) place(ctx context.Context, s System, o Options) (err error) {
	kernels, err := sizeOf(s.Tree, d.Kernels)
	if err != nil {
		return err
	}
	d.boot = kernels
	source, err := d.withPreinit(s, o)
	if err != nil {
		return err
	}
	layout := disk.Options{
		Arch: disk.Arch(d.Kernels[0].Arch), ESPSize: d.secure.Room(kernels), Seed: diskSeed + d.ID.String(), Persistent: o.Persistent, Keep: o.Keep,
	}
	size := o.Size
	if size == 0 {
		if d.root, err = ext4.Plan(ctx, source, d.filesystem(o, 0, o.Free)); err != nil {
			return err
		}
		layout.MinRoot = d.root.Size()
		size = disk.SizeFor(layout.MinRoot, sectorOf(o), layout)
	}
	if o.Round != nil {
		if size, err = o.Round(size); err != nil {
			return err
		}
	}
	if d.Layout, err = disk.NewLayout(size, sectorOf(o), layout); err != nil {
		return err
	}
	if err := d.planPersistent(ctx, s, o); err != nil {
		return err
	}
	if d.root != nil {
		return d.root.Resize(d.Layout.Root.Size)
	}
	d.root, err = ext4.Plan(ctx, source, d.filesystem(o, d.Layout.Root.Size, 0))
	return err
}

func sectorOf(o Options) int64 {
	if o.Sector == 0 {
		return 512
	}
	return o.Sector
}

func (d *Disk) filesystem(o Options, size, free int64) ext4.Options {
	return ext4.Options{
		Size: size, Free: free, Label: "root", Time: d.Time, Stale: o.Stale,
		UUID: derived(d.ID, "root filesystem"), HashSeed: derived(d.ID, "directory hash"),
	}
}

// derived makes one more identifier.
func derived(id uuid.UUID, name string) uuid.UUID { return uuid.NewSHA1(id, []byte(name)) }

// sizeOf is how long the kernels and RAM disks are together, in bytes.
func sizeOf(t images.Tree, kernels []boot.Kernel) (total int64, err error) {
	for _, k := range kernels {
		for _, file := range []string{k.Path, k.Initrd} {
			if file == "" {
				continue
			}
			p, err := payload(t, file)
			if err != nil {
				return 0, err
			}
			total += p.Size
		}
	}
	return total, nil
}

// payload is a file of a tree, read when its turn comes.
func payload(t images.Tree, file string) (disk.Payload, error) {
	e, err := t.Entry(file)
	if err == nil && e.Type == images.HardLink {
		e, err = t.Entry(e.Link)
	}
	if err != nil {
		return disk.Payload{}, err
	}
	return disk.Payload{Size: e.Size, Open: func() (io.ReadCloser, error) { return t.Open(file) }}, nil
}

// makeMenu gives every kernel its entry, the newest first.
func (d *Disk) makeMenu(ctx context.Context, s System, o Options) error {
	d.menu.Timeout = o.Timeout
	for n, k := range d.Kernels {
		words, err := s.cmdline(ctx, k.Cmdline)
		if err != nil {
			return err
		}
		if words, err = s.start(boot.JoinWords(words, o.Cmdline, o.console(words)), o); err != nil {
			return err
		}
		entry := disk.Entry{
			ID: fmt.Sprintf("cloudlet-%d-%s", n, k.Version), Title: s.Title() + ", Linux " + k.Version, Version: k.Version,
			Cmdline: boot.JoinWords(d.rootWord(k), "rw", words),
		}
		if entry.Kernel, err = payload(s.Tree, k.Path); err != nil {
			return err
		}
		if k.Initrd != "" {
			if entry.Initrd, err = payload(s.Tree, k.Initrd); err != nil {
				return err
			}
		}
		d.menu.Entries = append(d.menu.Entries, entry)
	}
	return d.secure.Check(d.menu)
}

// console is the word for the console, where the others have none for it.
func (o Options) console(words string) string {
	device, _, _ := strings.Cut(o.Console, ",")
	for _, word := range strings.Fields(words + " " + o.Cmdline) {
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

// Boot is what starts the disk's system without its boot loader: its newest
// kernel, with a command line that names the disk's root filesystem.
func (d *Disk) Boot() Boot {
	return Boot{Kernel: d.Kernels[0], Cmdline: d.menu.Entries[0].Cmdline, tree: d.tree}
}

// Title is what the boot menu calls the image. What its folder is called does
// not count: the same image in another place makes the same disk.
func (s System) Title() string {
	if s.Manifest.Name != "" {
		return s.Manifest.Name
	}
	return "cloudlet"
}

// rootWord names the root filesystem for a kernel. One without a RAM disk
// finds partitions only.
func (d *Disk) rootWord(k boot.Kernel) string {
	if k.Initrd == "" {
		return "root=PARTUUID=" + d.Layout.Root.GUID
	}
	return "root=UUID=" + derived(d.ID, "root filesystem").String()
}

// Size is the disk's size in bytes.
func (d *Disk) Size() int64 { return d.Layout.Size }

// Estimate is about how many bytes of the disk are written rather than
// skipped, for whoever shows how far that is.
func (d *Disk) Estimate() int64 {
	total := d.boot + d.root.Used()
	if d.persistent != nil {
		total += d.persistent.Used()
	}
	return total
}

// Write writes the disk from its beginning to its end, with boot loaders.
func (d *Disk) Write(ctx context.Context, w sparse.Writer, loaders disk.Loaders) error {
	contents := disk.Contents{Loaders: loaders, Menu: d.menu, SecureBoot: d.secure, Time: d.Time}
	if d.persistent == nil { // which is not the same as an interface that holds it
		return d.Layout.Write(ctx, w, contents, d.root, nil)
	}
	return d.Layout.Write(ctx, w, contents, d.root, d.persistent)
}
