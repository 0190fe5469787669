package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk/ext4"
)

// What a disk has beside the image, where its system must do something before
// the image's own first program: grow into a larger disk, or mount what
// outlives it. The kernel starts this very program in the place of the
// image's init, whatever the distribution.
const (
	// PreinitPath is the program.
	PreinitPath = images.Dir + "/preinit"
	// PersistentDir is where the persistent partition is mounted.
	PersistentDir = images.Dir + "/persistent"
)

// Words of the kernel's command line that it reads. A person who takes one out
// in the boot menu has the system start without.
const (
	// GrowWord has the last partition and its filesystem take all of the disk.
	GrowWord = "cloudlets.grow"
	// PersistentWord has the persistent partition mounted.
	PersistentWord = "cloudlets.persistent"
	// SystemInitWord names the image's own first program; without it that is
	// [boot.DefaultInit].
	SystemInitWord = "cloudlets.init="
)

// Program opens cloudlets as an architecture's machines run it.
type Program func(arch string) (program io.ReadCloser, size int64, err error)

// preinit says whether the disk's system has something to do first.
func (o Options) preinit() bool { return o.Grow || o.persistent() }

func (o Options) persistent() bool { return o.Persistent > 0 || o.Keep != nil }

// findPlaces finds the places of what is persistent, or says why nothing can
// be.
func (o Options) findPlaces(s System) ([]Place, error) {
	if !o.persistent() {
		return nil, nil
	}
	places, err := PersistentPlaces(s.Manifest, s.Tree)
	if err == nil && len(places) == 0 {
		err = errors.New("a persistent partition is for the paths that the manifest calls persistent, and it names none: add them, \"persistent\": [\"/srv\"]")
	}
	return places, err
}

// mountPoints are what a root filesystem needs for the program to begin with.
var mountPoints = []string{"/dev", "/proc", "/sys", "/run"}

// withPreinit is the system's source with the program, and with the places
// that it mounts something on.
func (d *Disk) withPreinit(s System, o Options) (images.Source, error) {
	if !o.preinit() {
		return s.Source, nil
	}
	arch := d.Kernels[0].Arch
	program, size, err := o.Program(arch)
	if err != nil {
		return nil, err
	}
	if err := program.Close(); err != nil {
		return nil, err
	}
	more := []addition{{
		Entry: images.Entry{Path: PreinitPath, Type: images.Regular, Mode: 0o755, Size: size, ModTime: d.Time},
		open: func() (io.ReadCloser, error) {
			program, _, err := o.Program(arch)
			return program, err
		},
	}}
	dirs := mountPoints[:len(mountPoints):len(mountPoints)]
	if o.persistent() {
		dirs = append(dirs, PersistentDir)
	}
	for _, p := range d.places {
		dirs = append(dirs, p.Missing...)
	}
	for _, dir := range dirs {
		more = append(more, addition{Entry: images.Entry{Path: dir, Type: images.Directory, Mode: 0o755, ModTime: d.Time}})
	}
	return added{s.Source, more}, nil
}

// added is a source with more in it.
type added struct {
	images.Source
	more []addition
}

// addition is an entry for a source that has none of its path. The directory
// that it is in is there, or is added before.
type addition struct {
	images.Entry
	open func() (io.ReadCloser, error) // of a regular file
}

// Walk visits what is added last.
func (a added) Walk(ctx context.Context, visit images.VisitFunc) error {
	there := map[string]bool{}
	for _, e := range a.more {
		there[e.Path] = false
	}
	if err := a.Source.Walk(ctx, func(e images.Entry, content io.Reader) error {
		if _, ours := there[e.Path]; ours {
			there[e.Path] = true
		}
		return visit(e, content)
	}); err != nil {
		return err
	}
	for _, e := range a.more {
		if there[e.Path] {
			continue
		}
		if err := e.visit(visit); err != nil {
			return err
		}
		there[e.Path] = true
	}
	return nil
}

func (a addition) visit(visit images.VisitFunc) error {
	if a.open == nil {
		return visit(a.Entry, nil)
	}
	r, err := a.open()
	if err != nil {
		return err
	}
	return errors.Join(visit(a.Entry, r), r.Close())
}

// start has the kernel start the image's own first program, or what comes
// before it, with words that say what that is to do.
func (s System) start(line string, o Options) (string, error) {
	if !o.preinit() {
		return line, nil
	}
	line, first := boot.StartBy(line, PreinitPath)
	if first == "" {
		e, err := boot.Init(s.Manifest, s.Tree, "")
		if err != nil {
			return "", err
		}
		first = e.Path
	}
	var words []string
	if first != boot.DefaultInit {
		words = append(words, SystemInitWord+first)
	}
	if o.Grow {
		words = append(words, GrowWord)
	}
	if o.persistent() {
		words = append(words, PersistentWord)
	}
	return boot.JoinWords(line, strings.Join(words, " ")), nil
}

// roomForFile is about what a file takes on a filesystem beside its content,
// in bytes.
const roomForFile = 4096

// planPersistent plans the filesystem of a new persistent partition, which is
// empty: the system copies what the image has for it when it first starts, and
// that must fit.
func (d *Disk) planPersistent(ctx context.Context, s System, o Options) error {
	if d.Layout.Persistent.Size == 0 || d.Layout.Kept {
		return nil
	}
	var err error
	if d.persistent, err = ext4.Plan(ctx, nil, ext4.Options{
		Size: d.Layout.Persistent.Size, Label: "persistent", Time: d.Time, Stale: o.Stale,
		UUID: derived(d.ID, "persistent filesystem"), HashSeed: derived(d.ID, "persistent directory hash"),
	}); err != nil {
		return err
	}
	var needed int64
	if err := s.Source.Walk(ctx, func(e images.Entry, _ io.Reader) error {
		if slices.ContainsFunc(d.places, func(p Place) bool { return p.Holds(e.Path) }) {
			needed += e.Size + roomForFile
		}
		return nil
	}); err != nil {
		return err
	}
	if free := d.persistent.Free(); needed > free {
		return fmt.Errorf("what the image has at its persistent paths takes about %d bytes, and the persistent partition has room for %d: make it larger", needed, free)
	}
	return nil
}
