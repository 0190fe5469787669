package target

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"cloudlets/images"
	"cloudlets/images/boot"
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

func (o Options) persistent() bool { return o.Persistent > 0 || o.keep() }

func (o Options) keep() bool { return o.Keep != nil || o.KeepFound }

// Preinit says whether the disk's system starts with the program at
// [PreinitPath].
func (p Plan) Preinit() bool { return p.Grow || p.persistent() }

func (p Plan) persistent() bool { return p.Persistent > 0 || p.Keep }

// preinitRoom is more than the program takes, in bytes.
const preinitRoom = 64 << 20

// PreinitFiles are what the root filesystem has beside the image's files, if
// its system starts with the program at [PreinitPath]: that program, of size
// bytes, and the directories that it mounts something on. What the image has
// itself stays. A directory comes before what is in it.
func (p Plan) PreinitFiles(size int64, at time.Time) []images.Entry {
	if !p.Preinit() {
		return nil
	}
	files := []images.Entry{{Path: PreinitPath, Type: images.Regular, Mode: 0o755, Size: size, ModTime: at}}
	dirs := []string{"/dev", "/proc", "/sys", "/run"} // what the program begins with
	if p.persistent() {
		dirs = append(dirs, PersistentDir)
	}
	for _, place := range p.Places {
		dirs = append(dirs, place.Missing...)
	}
	for _, dir := range dirs {
		files = append(files, images.Entry{Path: dir, Type: images.Directory, Mode: 0o755, ModTime: at})
	}
	return files
}

// withPreinit is the system's source with the files that the program takes.
func (d *Disk) withPreinit(s System, o Options) (images.Source, error) {
	if !d.Plan.Preinit() {
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
	open := func() (io.ReadCloser, error) {
		program, _, err := o.Program(arch)
		return program, err
	}
	var more []addition
	for _, e := range d.Plan.PreinitFiles(size, d.Time) {
		a := addition{Entry: e}
		if e.Type == images.Regular {
			a.open = open
		}
		more = append(more, a)
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

// start has the kernel start the image's own first program, or the one that
// comes before it, with words that say what that is to do.
func (o Options) start(line, init string) string {
	if !o.preinit() {
		if _, named := boot.StartBy(line, boot.DefaultInit); named != "" || init == "" || init == boot.DefaultInit {
			return line
		}
		return boot.JoinWords(line, boot.InitWord+init)
	}
	line, first := boot.StartBy(line, PreinitPath)
	words := []string{line}
	if first = cmp.Or(first, init); first != boot.DefaultInit {
		words = append(words, SystemInitWord+first)
	}
	if o.Grow {
		words = append(words, GrowWord)
	}
	if o.persistent() {
		words = append(words, PersistentWord)
	}
	return boot.JoinWords(words...)
}
