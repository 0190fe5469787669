package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/boot"
	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/erofs"
	"cloudlets/images/disk/iso"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/ramdisk"
)

// LiveOptions say how a live image is made.
type LiveOptions struct {
	// EntryPoint names the kernel entry point; "" is the default one.
	EntryPoint string
	// Cmdline is added to the kernels' command lines.
	Cmdline string
	// ID and Time replace those that come from the content.
	ID   uuid.UUID
	Time time.Time
	// SecureBoot is how firmware that insists on signatures boots the image.
	SecureBoot bootloader.SecureBoot
	// Compression is how the files are kept. "" is the best one that all kernels of the
	// image read ([LiveCompression]).
	Compression Compression
	// Progress, if it is not nil, is told how many bytes of files [NewISO] has
	// compressed so far.
	Progress func(bytes int64)
	// Timeout is how long the boot menu waits for a person.
	Timeout time.Duration
	// Assets find boot loaders, also those in the system's own tree.
	Assets bootloader.Assets
	// Program opens cloudlets for an architecture, which runs as process 1 of
	// the RAM disk.
	Program Program
}

// ISO is a live image. It boots as a CD, or from a disk to which it was
// written, and changes made while it runs are lost. The place of everything in
// it is decided, and nothing is written yet.
type ISO struct {
	Identity
	Kernels []boot.Kernel
	// Notices are sentences about what could keep the live system from starting.
	Notices []string
	// Compression is how the files are kept.
	Compression Chosen

	image *iso.Image
	root  *erofs.Layout
}

// The files of an ISO.
const (
	isoESP  = "EFI.IMG"
	isoRoot = "ROOT.IMG"
)

// LiveWord begins a word of the kernel's command line that a live system's RAM
// disk reads. The identifier of the ISO follows, by which the RAM disk finds the
// medium.
const LiveWord = "cloudlets.live="

// LiveRoot is the name of the file in an ISO that contains the root filesystem,
// as Linux shows that name.
var LiveRoot = strings.ToLower(isoRoot)

// liveNeeds are the kernel modules that every live system needs.
var liveNeeds = []string{"erofs", "isofs", "loop", "overlay"}

// NewISO plans a live image, which must be closed. It returns an error if anything
// that the image needs is missing.
func NewISO(ctx context.Context, s System, o LiveOptions) (*ISO, error) {
	i, err := newISO(ctx, s, o)
	if err != nil {
		return nil, fmt.Errorf("make an ISO of image %s: %w", s.Name, err)
	}
	return i, nil
}

func newISO(ctx context.Context, s System, o LiveOptions) (*ISO, error) {
	kernels, err := runnable(s, o.EntryPoint)
	if err != nil {
		return nil, err
	}
	for _, k := range kernels {
		if err := k.CheckVersion(); err != nil {
			return nil, err
		}
	}
	i := &ISO{Kernels: kernels}
	if i.Identity, err = s.Identify(ctx); err != nil {
		return nil, err
	}
	if o.ID != uuid.Nil {
		i.ID = o.ID
	}
	if !o.Time.IsZero() {
		i.Time = o.Time
	}
	arch := bootloader.Arch(kernels[0].Arch)
	o.Assets.Tree = s.Tree
	contents := disk.Contents{SecureBoot: o.SecureBoot, Time: i.Time}
	options := iso.Options{ID: i.ID, Label: volumeLabel(s.Title()), Time: i.Time, ESP: isoESP, Root: isoRoot}
	if err := i.loaders(ctx, arch, o, &contents, &options); err != nil {
		return nil, err
	}
	if contents.Menu, err = i.menu(ctx, s, o); err != nil {
		return nil, err
	}
	esp, err := disk.NewESP(ctx, arch, derived(i.ID, "ESP"), contents)
	if err != nil {
		return nil, err
	}
	if i.Compression, err = chooseCompression(s.Tree, i.Kernels, o.Compression); err != nil {
		return nil, err
	}
	if o.Compression == "" && i.Compression.Compression == erofs.None {
		i.Notices = append(i.Notices, "the files are not compressed, since "+i.Compression.Why)
	}
	if i.root, err = erofs.Plan(ctx, s.Source, erofs.Options{
		UUID: derived(i.ID, "root filesystem"), Label: "root", Time: i.Time, Compression: i.Compression.Compression, Progress: o.Progress,
	}); err != nil {
		return nil, err
	}
	i.image, err = iso.New([]iso.File{
		{Name: isoESP, Size: esp.Size(), Write: esp.Write}, {Name: isoRoot, Size: i.root.Size(), Write: i.root.Write},
	}, options)
	if err != nil {
		return nil, errors.Join(err, i.root.Close())
	}
	return i, nil
}

// loaders finds the boot loaders. GRUB for BIOS is made specially for this
// medium, so a disk's images of it are not needed.
func (i *ISO) loaders(ctx context.Context, arch bootloader.Arch, o LiveOptions, c *disk.Contents, to *iso.Options) (err error) {
	names := slices.DeleteFunc(o.SecureBoot.LoaderNames(arch), func(name string) bool { return name == bootloader.BootImage || name == bootloader.CoreImage })
	if c.Loaders, err = o.Assets.LoadNamed(ctx, names...); err != nil || arch == bootloader.ARM64 {
		return err
	}
	modules, err := o.Assets.GRUB()
	if err != nil {
		return err
	}
	to.GRUB = bootloader.HybridCore(modules)
	return nil
}

// menu returns a boot menu with an entry and a RAM disk for each kernel, the
// newest first.
func (i *ISO) menu(ctx context.Context, s System, o LiveOptions) (bootloader.Menu, error) {
	first, err := boot.Init(s.Manifest, s.Tree, "")
	if err != nil {
		return bootloader.Menu{}, err
	}
	initWord := ""
	if first.Path != boot.DefaultInit {
		initWord = boot.InitWord + first.Path
	}
	rendered, taken, err := s.Rendered(ctx, i.Kernels)
	if err != nil {
		return bootloader.Menu{}, err
	}
	if i.Notices, err = s.checkLive(); err != nil {
		return bootloader.Menu{}, err
	}
	i.Notices = append(i.Notices, taken...)
	list := entries(s.Title()+" (live)", rendered, func(k boot.Kernel) string {
		return boot.JoinWords(LiveWord+i.ID.String(), initWord, k.Cmdline, o.Cmdline)
	})
	for n := range list {
		list[n].Initrd = "" // the RAM disk of the medium replaces it, see below
	}
	open := func(file string) (bootloader.Payload, error) { return payload(s.Tree, file) }
	m, err := diskMenu(list, o.Timeout, open, func(e Entry) string { return e.Cmdline })
	if err != nil {
		return m, err
	}
	for n, k := range i.Kernels {
		if m.Entries[n].Initrd, err = liveRAMDisk(ctx, s, k, o); err != nil {
			return m, err
		}
	}
	return m, nil
}

// liveRAMDisk makes a kernel's RAM disk in memory, because its length must be
// known before the ESP is written.
func liveRAMDisk(ctx context.Context, s System, k boot.Kernel, o LiveOptions) (bootloader.Payload, error) {
	program, size, err := o.Program(k.Arch)
	if err != nil {
		return bootloader.Payload{}, err
	}
	defer program.Close()
	var made bytes.Buffer
	if _, err := ramdisk.Build(ctx, &made, s.Tree, ramdisk.Options{
		Version: k.Version, Modules: k.Modules, Init: program, InitSize: size, Purpose: ramdisk.Live, Needs: liveNeeds,
	}); err != nil {
		return bootloader.Payload{}, err
	}
	return bootloader.Payload{Size: int64(made.Len()), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(made.Bytes())), nil
	}}, nil
}

// volumeLabel turns a title into a volume's name, which has at most 32 capital
// letters, digits and underscores.
func volumeLabel(title string) string {
	label := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, title)
	return label[:min(len(label), 32)]
}

// Close removes what was kept of the plan. The image cannot be written any more.
func (i *ISO) Close() error { return i.root.Close() }

// Size is the image's size in bytes.
func (i *ISO) Size() int64 { return i.image.Size() }

// Write writes the image from its beginning to its end.
func (i *ISO) Write(ctx context.Context, w sparse.Writer) error { return i.image.Write(ctx, w) }
