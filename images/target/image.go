package target

import (
	"context"
	"errors"
	"io"
	"slices"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/manifest"
)

// Image is what it takes to know of an image to plan a disk of it.
type Image struct {
	// Title is what the boot menu calls the image.
	Title string
	// Kernels are those of the kernel entry point, the newest first. There is
	// at least one, and all can run the image's programs.
	Kernels []boot.Kernel
	// Init is the program that the image's system starts with; "" if none is
	// found.
	Init string
	// BootSize is how long the kernels and their RAM disks are together, in
	// bytes.
	BootSize int64
	// RootSize is what the root filesystem must have at least, in bytes. See
	// [RootSize].
	RootSize int64
	// Places are those of the persistent paths. What the image has there takes
	// about PersistentUse bytes.
	Places        []Place
	PersistentUse int64

	noInit, noPlaces error // why there is none
}

// Look finds out what a disk takes to know of a system, but for its RootSize.
// The name "" stands for the default kernel entry point. Persistent paths are
// looked at if outlive says so.
func Look(ctx context.Context, s System, entry string, outlive bool) (Image, error) {
	im := Image{Title: s.Title()}
	var err error
	if im.Kernels, err = runnable(s, entry); err != nil {
		return im, err
	}
	if im.BootSize, err = sizeOf(s.Tree, im.Kernels); err != nil {
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

// CheckInit says why the image has no first program, if it has none.
func (im Image) CheckInit() error { return im.noInit }

// runnable lists the kernels of an entry point, if they can run the image's
// programs.
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

// CheckMenu refuses a plan whose boot menu cannot be installed from a tree:
// a command line that a boot loader would spoil, a kernel that is not signed.
func (p Plan) CheckMenu(t images.Tree) error {
	menu, err := p.Menu(disk.Layout{}, func(file string) (disk.Payload, error) { return payload(t, file) })
	if err != nil {
		return err
	}
	return p.SecureBoot().Check(menu)
}

// findPlaces finds the places of what is persistent, or says why nothing can
// be.
func findPlaces(m *manifest.Manifest, t images.Tree) ([]Place, error) {
	places, err := PersistentPlaces(m, t)
	if err == nil && len(places) == 0 {
		err = errors.New("a persistent partition is for the paths that the manifest calls persistent, and it names none: add them, \"persistent\": [\"/srv\"]")
	}
	return places, err
}

// roomForFile is about what a file takes on a filesystem beside its content,
// in bytes.
const roomForFile = 4096

// useOf is about how many bytes a source has at some places.
func useOf(ctx context.Context, s images.Source, places []Place) (use int64, err error) {
	err = s.Walk(ctx, func(e images.Entry, _ io.Reader) error {
		if slices.ContainsFunc(places, func(p Place) bool { return p.Holds(e.Path) }) {
			use += e.Size + roomForFile
		}
		return nil
	})
	return use, err
}

// FirstRoom is the least room for more, in bytes, that an installed system
// must have for what it writes first.
const FirstRoom = 64 << 20

// RootSize is the size in bytes of the smallest root filesystem that holds a
// source, with free bytes left. It is exact for ext4, holes in files not
// counted, and about right for others.
func RootSize(ctx context.Context, s images.Source, free int64) (int64, error) {
	l, err := ext4.Plan(ctx, unread{s}, ext4.Options{Free: free})
	if err != nil {
		return 0, err
	}
	return l.Size(), nil
}

// unread is a source whose contents are not read.
type unread struct{ images.Source }

// Walk implements [images.Source].
func (u unread) Walk(ctx context.Context, visit images.VisitFunc) error {
	return u.Source.Walk(ctx, func(e images.Entry, _ io.Reader) error { return visit(e, nil) })
}
