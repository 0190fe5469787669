package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"cloudlets/images"
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
	// [DefaultInit].
	SystemInitWord = "cloudlets.init="
)

// Program opens cloudlets as an architecture's machines run it.
type Program func(arch string) (program io.ReadCloser, size int64, err error)

// preinit says whether the disk's system has something to do first.
func (o Options) preinit() bool { return o.Grow || o.persistent() }

func (o Options) persistent() bool { return o.Persistent > 0 || o.Keep != nil }

// checkPersistent refuses a partition that nothing would ever be in.
func (o Options) checkPersistent(m *images.Manifest) error {
	switch {
	case !o.persistent():
		return nil
	case len(m.Persistent) == 0:
		return errors.New("a persistent partition is for the paths that the manifest calls persistent, and it names none: add them, \"persistent\": [\"/srv\"]")
	case m.IsPersistent("/"):
		return errors.New("the manifest calls the whole image persistent, so that no new one would ever be seen: name what is to outlive it")
	}
	return nil
}

// withPreinit is the system's source with the program, and with a place for
// the persistent partition.
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
	if o.persistent() {
		more = append(more, addition{Entry: images.Entry{Path: PersistentDir, Type: images.Directory, Mode: 0o755, ModTime: d.Time}})
	}
	return added{s.Source, more}, nil
}

// added is a source with more in it.
type added struct {
	images.Source
	more []addition
}

// addition is an entry that is not in a source, but the directory that it is
// in is.
type addition struct {
	images.Entry
	open func() (io.ReadCloser, error) // of a regular file
}

// Walk visits what is added last.
func (a added) Walk(ctx context.Context, visit images.VisitFunc) error {
	if err := a.Source.Walk(ctx, visit); err != nil {
		return err
	}
	for _, e := range a.more {
		if err := e.visit(visit); err != nil {
			return err
		}
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
func (s System) start(words string, o Options) (string, error) {
	if !o.preinit() {
		return words, nil
	}
	var kept []string
	init := ""
	for _, word := range strings.Fields(words) {
		if name, ok := strings.CutPrefix(word, InitWord); ok {
			init = name
		} else {
			kept = append(kept, word)
		}
	}
	if init == "" {
		first, err := s.Manifest.InitEntry(s.Tree, "")
		if err != nil {
			return "", err
		}
		init = first.Path
	}
	kept = append(kept, InitWord+PreinitPath)
	if init != DefaultInit {
		kept = append(kept, SystemInitWord+init)
	}
	if o.Grow {
		kept = append(kept, GrowWord)
	}
	if o.persistent() {
		kept = append(kept, PersistentWord)
	}
	return strings.Join(kept, " "), nil
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
		if s.Manifest.IsPersistent(e.Path) {
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
