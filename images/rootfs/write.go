//go:build unix

package rootfs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// Options say how [Write] works. The zero value is right for most.
type Options struct {
	// Workers is how many files are written at a time; 0 is one for each
	// CPU, at least 2 and at most 8.
	Workers int
	// Progress, where given, is called now and then with the number of
	// entries and the bytes of content that are done; never by two
	// goroutines at once.
	Progress func(entries int, bytes int64)
	// NoSync returns before the disk has everything: for a directory that
	// need not outlive a power failure.
	NoSync bool
}

// Report tells what [Write] did.
type Report struct {
	Entries int   // of every type
	Bytes   int64 // content of regular files, holes included
	// Lost lists, as they should be and sorted by path, the entries that
	// are not: those whose owner, setuid, setgid or extended attributes
	// could not be set, and devices that are not there at all. It is empty
	// where root writes.
	Lost []images.Entry
}

// Write puts all files of a source into the directory dir, which is new or
// empty: contents with their holes, modes, owners, devices, FIFOs, hard links,
// extended attributes and times. As root all of it, or an error; as another
// user, or as root of a user namespace, what cannot be set is in the report.
//
// The files are written beside dir, into dir.partial-NUMBER, which gets its
// name at the end. If there is an error nothing is left of it. Whatever the
// source says, nothing is written outside of the directory.
func Write(ctx context.Context, dir string, src images.Source, opt Options) (Report, error) {
	report, err := write(ctx, dir, src, opt)
	if err != nil {
		return Report{}, fmt.Errorf("write image to %s: %w", dir, err)
	}
	return report, nil
}

func write(ctx context.Context, dir string, src images.Source, opt Options) (Report, error) {
	stage, err := newStaging(dir)
	if err != nil {
		return Report{}, err
	}
	report, err := fill(ctx, stage.path, distinct(stage.path, src), opt)
	if err == nil {
		err = stage.publish(!opt.NoSync)
	}
	if err != nil {
		return Report{}, errors.Join(err, stage.discard())
	}
	return report, nil
}

const (
	minWorkers = 2
	maxWorkers = 8
	// smallFile is the most that a worker writes at once, in bytes. Longer
	// files go from the source to the disk in pieces of that size.
	smallFile = 1 << 20
	// spareBuffers is how many small files may wait for a worker.
	spareBuffers = 6
)

func workersOr(n int) int {
	if n > 0 {
		return n
	}
	return min(max(runtime.GOMAXPROCS(0), minWorkers), maxWorkers)
}

// job is a small file on its way to a worker.
type job struct {
	entry images.Entry
	data  []byte
}

// writer is the state of one Write. The walk makes directories and all that is
// quickly made; workers write the small files, which are most; links come when
// all files are there, and directories get their metadata last.
type writer struct {
	root    *Root
	dirs    *Dirs // of the walk
	opt     Options
	trying  bool // without the rights of root
	jobs    chan job
	free    chan []byte
	folders []images.Entry
	links   []images.Entry

	mu     sync.Mutex
	report Report
	unmade map[string]bool // devices
}

// fill puts the source's files into a directory that is there.
func fill(ctx context.Context, dir string, src images.Source, opt Options) (Report, error) {
	root, err := Open(dir)
	if err != nil {
		return Report{}, err
	}
	defer root.Close()
	n := workersOr(opt.Workers)
	w := &writer{
		root: root, dirs: root.Dirs(), opt: opt, trying: !privileged(),
		jobs: make(chan job, spareBuffers), free: make(chan []byte, spareBuffers+n),
		unmade: make(map[string]bool),
	}
	defer w.dirs.Close()
	for range cap(w.free) {
		w.free <- nil
	}
	if err := w.content(ctx, src, n); err != nil {
		return Report{}, err
	}
	if err := w.finish(ctx); err != nil {
		return Report{}, err
	}
	slices.SortFunc(w.report.Lost, func(a, b images.Entry) int { return cmp.Compare(a.Path, b.Path) })
	return w.report, nil
}

// content makes all files but the hard links.
func (w *writer) content(ctx context.Context, src images.Source, workers int) error {
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(w.jobs)
		return src.Walk(gctx, w.visitor(gctx))
	})
	for range workers {
		g.Go(func() error { return w.work(gctx) })
	}
	return g.Wait()
}

// work writes small files until there are no more.
func (w *writer) work(ctx context.Context) error {
	dirs := w.root.Dirs()
	defer dirs.Close()
	for j := range w.jobs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.small(dirs, &j.entry, j.data); err != nil {
			return w.fail("write", j.entry.Path, err)
		}
		w.free <- j.data
	}
	return nil
}

func (w *writer) small(dirs *Dirs, e *images.Entry, data []byte) error {
	f, err := dirs.Create(e.Path)
	if err != nil {
		return err
	}
	if err := f.WriteAll(data); err != nil {
		f.Close()
		return err
	}
	if err := w.seal(f, dirs, e); err != nil {
		return err
	}
	w.done(1, e.Size)
	return nil
}

func (w *writer) seal(f File, dirs *Dirs, e *images.Entry) error {
	if !w.trying {
		return f.Seal(dirs, e)
	}
	lost, err := f.TrySeal(dirs, e)
	w.note(e, lost)
	return err
}

// finish does what needs all files.
func (w *writer) finish(ctx context.Context) error {
	if err := w.makeLinks(ctx); err != nil {
		return err
	}
	if err := w.finishFolders(); err != nil {
		return err
	}
	if w.opt.NoSync {
		return nil
	}
	if err := w.root.Sync(); err != nil {
		return w.fail("write back", "/", err)
	}
	return nil
}

func (w *writer) makeLinks(ctx context.Context) error {
	from := w.root.Dirs()
	defer from.Close()
	for i := range w.links {
		e := &w.links[i]
		if err := ctx.Err(); err != nil {
			return err
		}
		if w.unmade[e.Link] {
			w.note(e, true)
		} else if err := w.dirs.Link(from, e.Link, e.Path); err != nil {
			return w.fail("link to "+e.Link, e.Path, err)
		}
		w.done(1, 0)
	}
	return nil
}

// finishFolders gives directories their metadata, deepest first: a parent's
// time must not change again. The root has some even if the source has none
// for it.
func (w *writer) finishFolders() error {
	if !slices.ContainsFunc(w.folders, func(e images.Entry) bool { return e.Path == "/" }) {
		if err := os.Chmod(w.root.name, 0o755); err != nil {
			return err
		}
	}
	slices.SortFunc(w.folders, func(a, b images.Entry) int { return cmp.Compare(b.Path, a.Path) })
	for i := range w.folders {
		if err := w.finishFolder(&w.folders[i]); err != nil {
			return w.fail("set metadata of", w.folders[i].Path, err)
		}
	}
	return nil
}

func (w *writer) finishFolder(e *images.Entry) error {
	if !w.trying {
		return w.dirs.SetMetadata(e)
	}
	lost, err := w.dirs.TrySetMetadata(e)
	w.note(e, lost)
	return err
}

// note keeps an entry that could not be made as it should be.
func (w *writer) note(e *images.Entry, lost bool) {
	if lost {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.report.Lost = append(w.report.Lost, *e)
	}
}

// done counts what was made.
func (w *writer) done(entries int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report.Entries += entries
	w.report.Bytes += bytes
	if w.opt.Progress != nil {
		w.opt.Progress(w.report.Entries, w.report.Bytes)
	}
}

// fail says what could not be done and what a person can do.
func (w *writer) fail(op, p string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		hint = "; the disk is full: make room, or name a directory on another"
	case errors.Is(err, unix.EEXIST):
		hint = "; the source names it twice"
	case errors.Is(err, unix.EINVAL) && strings.Contains(p, ".."):
		hint = "; the path leads out of the image"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOTSUP):
		hint = "; the filesystem must know owners, devices and extended attributes"
	}
	return fmt.Errorf("%s %s: %w%s", op, p, err, hint)
}

// privileged tells whether this process can set whatever an entry says: it is
// root, and of no user namespace but the first, of Linux.
func privileged() bool {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		return false
	}
	ids, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || slices.Equal(strings.Fields(string(ids)), []string{"0", "0", "4294967295"})
}
