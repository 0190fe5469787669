package target

import (
	"cmp"
	"context"
	"errors"
	"io"
	"time"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk/slots"
)

// Paths that a disk has in addition to the image's files, if its system must do
// something before the image's own first program starts: grow into a larger
// disk, or mount the persistent partition. The kernel then starts cloudlets
// instead of the image's init, whatever the distribution.
const (
	// PreinitPath is where cloudlets is.
	PreinitPath = images.Dir + "/preinit"
	// PersistentDir is where the persistent partition is mounted, if there is
	// one.
	PersistentDir = images.Dir + "/persistent"
)

// Words of the kernel's command line that the program at [PreinitPath] reads. If
// a person removes one in the boot menu, the system starts without its effect.
const (
	// GrowWord makes the last partition and its filesystem grow to the end of
	// the disk.
	GrowWord = "cloudlets.grow"
	// PersistentWord makes the program mount the persistent partition.
	PersistentWord = "cloudlets.persistent"
	// TrialWord says that the system is on trial, on a disk with two slots. The boot
	// loader adds it.
	TrialWord = slots.TrialWord
	// TrialPatienceWord and TrialSettleWord begin words with a number of seconds: how
	// long a system on trial may take to say that it runs, and how long it must go on
	// after that.
	TrialPatienceWord = "cloudlets.trial.patience="
	TrialSettleWord   = "cloudlets.trial.settle="
	// SystemInitWord begins a word that names the image's own first program.
	// Without such a word that is [boot.DefaultInit].
	SystemInitWord = "cloudlets.init="
	// TrialRunsWord begins a word that says what counts as a system on trial that runs:
	// [RunsByFile], which is so without such a word, or [RunsByInit].
	TrialRunsWord = "cloudlets.trial.runs="
)

// The values of [TrialRunsWord]: the file that a service of the system makes, see package
// trial, or that its first program has begun.
const (
	RunsByFile = "file"
	RunsByInit = "init"
)

// Program opens cloudlets as machines of an architecture run it. Size is its
// length in bytes.
type Program func(arch string) (program io.ReadCloser, size int64, err error)

// preinit reports whether the disk's system starts with the program at
// [PreinitPath].
func (o Options) preinit() bool { return o.Grow || o.Slots || o.persistent() }

func (o Options) persistent() bool { return o.Persistent > 0 || o.keep() }

func (o Options) keep() bool { return o.Keep != nil || o.KeepFound }

// Preinit reports whether the disk's system starts with the program at
// [PreinitPath].
func (p Plan) Preinit() bool { return p.Grow || p.Slots || p.persistent() }

func (p Plan) persistent() bool { return p.Persistent > 0 || p.Keep }

// preinitRoom is the room for the program in bytes, which is more than it takes.
const preinitRoom = 64 << 20

// PreinitFiles returns what the root filesystem has in addition to the image's
// files, if its system starts with the program at [PreinitPath]: that program,
// of size bytes, and the directories on which it mounts something. An entry must
// be left out if the image has its path already. A directory comes before its
// content.
func (p Plan) PreinitFiles(size int64, at time.Time) []images.Entry {
	if !p.Preinit() {
		return nil
	}
	files := []images.Entry{{Path: PreinitPath, Type: images.Regular, Mode: 0o755, Size: size, ModTime: at}}
	dirs := []string{"/dev", "/proc", "/sys", "/run"} // the program mounts these first
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

// withPreinit returns the system's source with the files of
// [Plan.PreinitFiles].
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

// added is a source with more entries.
type added struct {
	images.Source
	more []addition
}

// addition is an entry that is added if the source has none with its path. Its
// parent directory must be in the source or be added before it.
type addition struct {
	images.Entry
	open func() (io.ReadCloser, error) // of a regular file
}

// Walk visits the source's entries first, and then the added ones.
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

// start returns a kernel's command line with words that make the kernel start
// the image's first program. If the program at [PreinitPath] comes before that,
// the words name both programs and say what the former must do.
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
