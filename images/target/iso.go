package target

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/boot"
	"cloudlets/images/disk"
	"cloudlets/images/disk/erofs"
	"cloudlets/images/disk/iso"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/ramdisk"
)

// LiveOptions are what a live image is made like.
type LiveOptions struct {
	// EntryPoint names the kernel entry point; "" is the default one.
	EntryPoint string
	// Cmdline is added to the kernels' command lines.
	Cmdline string
	// ID and Time replace what comes from the content.
	ID   uuid.UUID
	Time time.Time
	// SecureBoot is how firmware that insists on signatures boots the image.
	SecureBoot disk.SecureBoot
	// Timeout is how long the boot menu waits for a person.
	Timeout time.Duration
	// Assets find boot loaders; those of the system's own tree count as well.
	Assets disk.Assets
	// Program opens the program that is process 1 of the RAM disk: this very
	// one, for an architecture.
	Program Program
}

// ISO is a live image: it boots as a CD, or from a disk that it was written
// to, and what is changed while it runs is lost. All places are known, and
// nothing is written.
type ISO struct {
	Identity
	Kernels []boot.Kernel

	image *iso.Image
	root  *erofs.Layout
}

// The files of an ISO.
const (
	isoESP  = "EFI.IMG"
	isoRoot = "ROOT.IMG"
)

// LiveWord is a word of the kernel's command line that a live system's RAM disk
// reads. It names the medium: the identifier of its ISO.
const LiveWord = "cloudlets.live="

// LiveRoot is the name of the file of an ISO that is the root filesystem, as
// Linux shows it.
var LiveRoot = strings.ToLower(isoRoot)

// liveNeeds are the kernel's modules without which no live system runs.
var liveNeeds = []string{"erofs", "isofs", "loop", "overlay"}

// NewISO plans a live image. Everything that it takes is looked for here.
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
	arch := disk.Arch(kernels[0].Arch)
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
	if i.root, err = erofs.Plan(ctx, s.Source, erofs.Options{UUID: derived(i.ID, "root filesystem"), Label: "root", Time: i.Time}); err != nil {
		return nil, err
	}
	i.image, err = iso.New([]iso.File{
		{Name: isoESP, Size: esp.Size(), Write: esp.Write}, {Name: isoRoot, Size: i.root.Size(), Write: i.root.Write},
	}, options)
	return i, err
}

// loaders finds the boot loaders. GRUB for BIOS is made for this medium, so
// that the image a disk would get is not needed.
func (i *ISO) loaders(ctx context.Context, arch disk.Arch, o LiveOptions, c *disk.Contents, to *iso.Options) (err error) {
	names := slices.DeleteFunc(o.SecureBoot.LoaderNames(arch), func(name string) bool { return name == disk.BootImage || name == disk.CoreImage })
	if c.Loaders, err = o.Assets.LoadNamed(ctx, names...); err != nil || arch == disk.ARM64 {
		return err
	}
	modules, err := o.Assets.GRUB()
	if err != nil {
		return err
	}
	to.GRUB = disk.HybridCore(modules)
	return nil
}

// menu gives every kernel its entry, the newest first, and its RAM disk.
func (i *ISO) menu(ctx context.Context, s System, o LiveOptions) (disk.Menu, error) {
	first, err := boot.Init(s.Manifest, s.Tree, "")
	if err != nil {
		return disk.Menu{}, err
	}
	initWord := ""
	if first.Path != boot.DefaultInit {
		initWord = boot.InitWord + first.Path
	}
	rendered, err := s.Rendered(ctx, i.Kernels)
	if err != nil {
		return disk.Menu{}, err
	}
	list := entries(s.Title()+" (live)", rendered, func(k boot.Kernel) string {
		return boot.JoinWords(LiveWord+i.ID.String(), initWord, k.Cmdline, o.Cmdline)
	})
	for n := range list {
		list[n].Initrd = "" // the medium's own takes its place
	}
	open := func(file string) (disk.Payload, error) { return payload(s.Tree, file) }
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

// liveRAMDisk makes a kernel's RAM disk, in memory: its length has to be known
// before the ESP is written.
func liveRAMDisk(ctx context.Context, s System, k boot.Kernel, o LiveOptions) (disk.Payload, error) {
	program, size, err := o.Program(k.Arch)
	if err != nil {
		return disk.Payload{}, err
	}
	defer program.Close()
	var made bytes.Buffer
	if _, err := ramdisk.Build(ctx, &made, s.Tree, ramdisk.Options{
		Version: k.Version, Init: program, InitSize: size, Purpose: ramdisk.Live, Needs: liveNeeds,
	}); err != nil {
		return disk.Payload{}, err
	}
	return disk.Payload{Size: int64(made.Len()), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(made.Bytes())), nil
	}}, nil
}

// volumeLabel makes a title a volume's name.
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

// Size is the image's size in bytes.
func (i *ISO) Size() int64 { return i.image.Size() }

// Write writes the image from its beginning to its end.
func (i *ISO) Write(ctx context.Context, w sparse.Writer) error { return i.image.Write(ctx, w) }
