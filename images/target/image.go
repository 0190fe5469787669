package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/manifest"
)

// Image holds what must be known about an image to plan a disk of it.
type Image struct {
	// Title is what the boot menu calls the image.
	Title string
	// Kernels are those of the kernel entry point, the newest first. There is
	// at least one, and all can run the image's programs.
	Kernels []boot.Kernel
	// Init is the program that the image's system starts with; "" if none is
	// found.
	Init string
	// BootSize is the total length of the kernels and their RAM disks in bytes.
	BootSize int64
	// RootSize is the smallest size of the root filesystem in bytes. See
	// [RootSize].
	RootSize int64
	// Places are those of the persistent paths. The image's files there take
	// about PersistentUse bytes.
	Places        []Place
	PersistentUse int64
	// Notices are sentences about what could keep a copy from starting.
	Notices []string

	noInit, noPlaces error // why there is no Init, and why there are no Places
}

// Look finds out everything about a system that its disk depends on, except the
// RootSize. Entry names the kernel entry point; "" is the default one. If
// outlive is set, Look also finds the places of the persistent paths.
func Look(ctx context.Context, s System, entry string, outlive bool) (Image, error) {
	im := Image{Title: s.Title()}
	var err error
	if im.Kernels, err = runnable(s, entry); err != nil {
		return im, err
	}
	if im.BootSize, err = sizeOf(s.Tree, im.Kernels); err != nil {
		return im, err
	}
	if im.Notices, err = s.notices(im.Kernels); err != nil {
		return im, err
	}
	first, err := boot.Init(s.Manifest, s.Tree, "")
	switch {
	case err == nil:
		im.Init = first.Path
	case errors.Is(err, boot.ErrNoProgram):
		im.noInit = err
	default:
		return im, err
	}
	if !outlive {
		return im, nil
	}
	if im.Places, im.noPlaces = findPlaces(s.Manifest, s.Tree); im.noPlaces != nil {
		return im, nil
	}
	im.PersistentUse, err = useOf(ctx, s.Source, im.Places)
	return im, err
}

// CheckInit returns an error that says why no first program was found, or nil if
// the image has one.
func (im Image) CheckInit() error { return im.noInit }

// runnable returns the kernels of an entry point. It returns an error if one of
// them cannot run the image's programs.
func runnable(s System, entry string) ([]boot.Kernel, error) {
	all, err := boot.Kernels(s.Manifest, s.Tree, entry)
	if err != nil {
		return nil, err
	}
	for _, k := range all {
		if err := k.Check(""); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// sizeOf returns the total length in bytes of kernels, as they are started, and
// their RAM disks.
func sizeOf(t images.Tree, kernels []boot.Kernel) (total int64, err error) {
	open := func(file string) (bootloader.Payload, error) { return payload(t, file) }
	for _, k := range kernels {
		kernel, err := kernelPayload(k.Path, open)
		if err != nil {
			return 0, err
		}
		total += kernel.Size
		if k.Initrd == "" {
			continue
		}
		initrd, err := open(k.Initrd)
		if err != nil {
			return 0, err
		}
		total += initrd.Size
	}
	return total, nil
}

// kernelPayload returns a kernel of an image in the form that boot loaders start.
func kernelPayload(file string, open func(string) (bootloader.Payload, error)) (bootloader.Payload, error) {
	kernel, err := open(file)
	if err != nil {
		return kernel, err
	}
	kernel.Size, err = boot.StartableSize(kernel.Open, kernel.Size)
	if err != nil {
		return kernel, fmt.Errorf("read kernel %s: %w", file, err)
	}
	kernel.Open = boot.Startable(kernel.Open)
	return kernel, nil
}

// payload returns a file of a tree, which is not opened before it is needed.
func payload(t images.Tree, file string) (bootloader.Payload, error) {
	e, err := t.Entry(file)
	if err == nil && e.Type == images.HardLink {
		e, err = t.Entry(e.Link)
	}
	if err != nil {
		return bootloader.Payload{}, err
	}
	return bootloader.Payload{Size: e.Size, Open: func() (io.ReadCloser, error) { return t.Open(file) }}, nil
}

// CheckMenu returns an error if the plan's boot menu cannot be installed from a
// tree, e.g. because a boot loader would change a command line or because a
// kernel is not signed.
func (p Plan) CheckMenu(t images.Tree) error {
	menu, err := p.Menu(disk.Layout{}, func(file string) (bootloader.Payload, error) { return payload(t, file) })
	if err != nil {
		return err
	}
	return p.SecureBoot().Check(menu)
}

// findPlaces returns the places of the persistent paths. The error says why
// nothing can be persistent.
func findPlaces(m *manifest.Manifest, t images.Tree) ([]Place, error) {
	places, err := PersistentPlaces(m, t)
	if err == nil && len(places) == 0 {
		err = errors.New("a persistent partition is for the paths that the manifest calls persistent, and it names none: add them, \"persistent\": [\"/srv\"]")
	}
	return places, err
}

// roomForFile is roughly how many bytes a file takes on a filesystem in
// addition to its content.
const roomForFile = 4096

// useOf returns roughly how many bytes a source's files at some places take.
func useOf(ctx context.Context, s images.Source, places []Place) (use int64, err error) {
	err = s.Walk(ctx, func(e images.Entry, _ io.Reader) error {
		if slices.ContainsFunc(places, func(p Place) bool { return p.Holds(e.Path) }) {
			use += e.Size + roomForFile
		}
		return nil
	})
	return use, err
}

// FirstRoom is the free space, in bytes, that an installed system needs at
// least for what it writes first.
const FirstRoom = 64 << 20

// RootSize returns the size in bytes of the smallest root filesystem that holds
// a source and has free bytes left. The size is exact for ext4, except that
// holes in files count as data. It is roughly right for other filesystems.
func RootSize(ctx context.Context, s images.Source, free int64) (int64, error) {
	l, err := ext4.Plan(ctx, unread{s}, ext4.Options{Free: free})
	if err != nil {
		return 0, err
	}
	return l.Size(), nil
}

// unread is a source that does not pass on the contents of its files.
type unread struct{ images.Source }

// Walk implements [images.Source].
func (u unread) Walk(ctx context.Context, visit images.VisitFunc) error {
	return u.Source.Walk(ctx, func(e images.Entry, _ io.Reader) error { return visit(e, nil) })
}
