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

// Options configure [Write]. The zero value suits most callers.
type Options struct {
	// Workers is the number of files that are written at the same time; 0 means
	// one for each CPU, but at least 2 and at most 8.
	Workers int
	// Progress, if not nil, is called from time to time with the number of
	// entries and bytes of content written so far. It is never called by two
	// goroutines at once.
	Progress func(entries int, bytes int64)
	// NoSync makes Write return before everything is on the disk. Use it for a
	// directory that need not survive a power failure.
	NoSync bool
}

// Report says what [Write] did.
type Report struct {
	Entries int   // of every type
	Bytes   int64 // content of regular files, including holes
	// Lost lists the entries that are not exactly as the source has them,
	// sorted by path. For these the owner, setuid, setgid or extended
	// attributes could not be set, or they are devices that could not be made.
	// The entries are in the form that they should have. Lost is empty if root
	// writes.
	Lost []images.Entry
}

// Write writes all files of a source into the directory dir, which must be new
// or empty. It keeps contents with their holes, modes, owners, devices, FIFOs,
// hard links, extended attributes and times. As root it does all of this or
// returns an error. As another user, or as root of a user namespace, it reports
// what it could not set.
//
// Write first fills the directory dir.partial-NUMBER beside dir and renames it
// at the end. After an error it leaves nothing behind. Whatever the source
// contains, Write never writes outside of that directory.
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

// MaxWorkers is the largest number of workers unless the caller says how many.
const MaxWorkers = 8

const (
	minWorkers = 2
	// smallFile is the largest number of bytes that a worker writes at once.
	// Longer files go from the source to the disk in pieces of this size.
	smallFile = 1 << 20
	// spareBuffers is the number of small files that may wait for a worker.
	spareBuffers = 6
)

// Workers is how many workers write or read the files of a root filesystem: n, or if that
// is 0 one for each CPU, but at least minWorkers and at most [MaxWorkers].
func Workers(n int) int {
	if n > 0 {
		return n
	}
	return min(max(runtime.GOMAXPROCS(0), minWorkers), MaxWorkers)
}

// job is a small file that waits for a worker.
type job struct {
	entry images.Entry
	data  []byte
}

// writer is the state of one Write. The walk makes directories and everything
// that is quick to make. Workers write the small files, which are the majority.
// Hard links are made when all files exist, and directories get their metadata
// last.
type writer struct {
	root         *Root
	dirs         *Dirs // used by the walk
	opt          Options
	unprivileged bool // this process lacks root's rights
	jobs         chan job
	free         chan []byte
	folders      []images.Entry
	links        []images.Entry

	mu     sync.Mutex
	report Report
	unmade map[string]bool // devices that could not be made
}

// fill writes the source's files into an existing directory.
func fill(ctx context.Context, dir string, src images.Source, opt Options) (Report, error) {
	root, err := Open(dir)
	if err != nil {
		return Report{}, err
	}
	defer root.Close()
	n := Workers(opt.Workers)
	w := &writer{
		root: root, dirs: root.Dirs(), opt: opt, unprivileged: !privileged(),
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

// content makes all files except hard links.
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
	if !w.unprivileged {
		return f.Seal(dirs, e)
	}
	lost, err := f.TrySeal(dirs, e)
	w.note(e, lost)
	return err
}

// finish does the steps that need all files to exist.
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

// finishFolders sets the metadata of directories, deepest first, so that the
// time of a parent does not change again. If the source has no entry for the
// root, the root gets mode 0755.
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
	if !w.unprivileged {
		return w.dirs.SetMetadata(e)
	}
	lost, err := w.dirs.TrySetMetadata(e)
	w.note(e, lost)
	return err
}

// note reports an entry that could not be made exactly as it should be.
func (w *writer) note(e *images.Entry, lost bool) {
	if lost {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.report.Lost = append(w.report.Lost, *e)
	}
}

// done counts finished entries and bytes, and reports the progress.
func (w *writer) done(entries int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.report.Entries += entries
	w.report.Bytes += bytes
	if w.opt.Progress != nil {
		w.opt.Progress(w.report.Entries, w.report.Bytes)
	}
}

// fail returns an error that says what could not be done and what a person can
// do about it.
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
		hint = "; the filesystem must support owners, devices and extended attributes"
	}
	return fmt.Errorf("%s %s: %w%s", op, p, err, hint)
}

// privileged reports whether this process can set everything that an entry may
// contain. For that it must be root on Linux, in the initial user namespace.
func privileged() bool {
	if os.Geteuid() != 0 || runtime.GOOS != "linux" {
		return false
	}
	ids, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || slices.Equal(strings.Fields(string(ids)), []string{"0", "0", "4294967295"})
}
