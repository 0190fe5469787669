//go:build linux

package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"cloudlets/images/rootfs"
)

// ExtractOptions configure [Extract]. The zero value suits most callers.
type ExtractOptions struct {
	// Workers is the number of frames that are unpacked and written at the same
	// time; 0 means one for each CPU, but at least 2 and at most 8.
	Workers int
	// Progress, if not nil, is called after each frame with the number of bytes
	// of the pack that are done and their total. It is never called by two
	// goroutines at once.
	Progress func(done, total int64)
	// Replace removes existing files that are at the paths of the pack's files.
	// Use it for an overlay, which goes on top of another pack. Otherwise such
	// files are an error.
	Replace bool
	// Sums, if not nil, records a checksum of each chunk that is written, for
	// [Verify].
	Sums *Sums
	// Store, if not nil, has files of another pack. What it has too is copied from
	// there, and the rest is fetched.
	Store  *Store
	Logger *slog.Logger // nil is silent
}

// Stats say what [Extract] did.
type Stats struct {
	Entries int   // files of every type
	Bytes   int64 // content of regular files, holes included
	// Refetched is the number of frames that arrived damaged and were fetched
	// again.
	Refetched int
	// Copied is how many bytes of the pack were not fetched, since the Store had
	// their content.
	Copied   int64
	Duration time.Duration
}

const (
	// maxRefetch is how often a damaged frame is fetched again.
	maxRefetch = 3
	// queueFrames is how many frames may wait for a worker. Together with
	// [rootfs.MaxWorkers] it bounds the memory, because a frame is only slightly larger
	// than FrameSize.
	queueFrames = 8
)

// Extract writes the files of a pack into dir, the existing root of a fresh
// filesystem. It streams all frames in order with one request. Workers check
// the digest of each chunk before they write it, and they write each file
// directly to its place. When Extract returns without an error, all bytes are
// on the disk. Otherwise the error names the file and the device, and dir holds
// a part of the files.
//
// Whatever the table contains, no name leads out of dir, and no symbolic link
// is followed. Owners, modes, times and extended attributes are those of the
// image; only root can set them.
func Extract(ctx context.Context, src Ranger, toc *TOC, dir string, opt ExtractOptions) (Stats, error) {
	start := time.Now()
	x, err := newExtractor(src, toc, dir, opt)
	if err != nil {
		return Stats{}, fmt.Errorf("extract pack: %w", err)
	}
	defer x.close()
	if err := x.run(ctx); err != nil {
		return Stats{}, fmt.Errorf("extract pack %s to %s: %w", toc.info.Digest, dir, err)
	}
	return Stats{
		Entries: toc.info.Entries, Bytes: toc.info.Bytes,
		Refetched: x.refetched, Copied: x.copied, Duration: time.Since(start),
	}, nil
}

// extractor is the state of one Extract.
type extractor struct {
	src  Ranger
	toc  *TOC
	opt  ExtractOptions
	root *rootfs.Root
	dec  *zstd.Decoder
	n    int // workers

	mu        sync.Mutex
	open      map[int32]*target // files with several chunks of which some are missing
	done      int64             // bytes of the pack
	refetched int
	copied    int64
}

// delivery is a frame as it arrived. Packed is nil if the Store should have it.
type delivery struct {
	frame  frame
	packed []byte
}

func newExtractor(src Ranger, toc *TOC, dir string, opt ExtractOptions) (*extractor, error) {
	n := rootfs.Workers(opt.Workers)
	if opt.Store != nil && opt.Workers == 0 {
		n = rootfs.MaxWorkers // they wait for the disk
	}
	dec, err := newDecoder(n)
	if err != nil {
		return nil, err
	}
	root, err := rootfs.Open(dir)
	if err != nil {
		return nil, err
	}
	opt.Sums.begin(toc)
	return &extractor{src: src, toc: toc, opt: opt, root: root, dec: dec, n: n, open: make(map[int32]*target)}, nil
}

func (x *extractor) close() {
	for _, t := range x.open {
		t.close()
	}
	x.dec.Close()
	x.root.Close()
}

// run has three phases. It first makes directories, which everything else
// needs. Then it makes files with and without content in parallel. At the end
// it does what needs all files to exist.
func (x *extractor) run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	queue := make(chan delivery, queueFrames)
	free := make(chan []byte, queueFrames+x.n)
	for range cap(free) {
		free <- nil
	}
	g.Go(func() error { // started first, so that bytes arrive while directories are made
		defer close(queue)
		return x.stream(gctx, queue, free)
	})
	made := make(chan struct{})
	g.Go(func() error {
		if err := x.makeDirs(); err != nil {
			return err
		}
		if err := x.makeRoom(gctx); err != nil {
			return err
		}
		close(made)
		return x.makeBare(gctx)
	})
	for range x.n {
		g.Go(func() error {
			select {
			case <-made:
				return x.work(gctx, queue, free)
			case <-gctx.Done():
				return gctx.Err()
			}
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return x.finish(ctx)
}

// stream delivers all frames that have content. It reads those that the Store has not
// with one request for each run of them: one for all, without a Store.
func (x *extractor) stream(ctx context.Context, queue chan<- delivery, free <-chan []byte) error {
	for left := x.toc.frames; len(left) > 0; {
		held := x.opt.Store.holds(x.toc, left[0])
		n := 1
		for n < len(left) && x.opt.Store.holds(x.toc, left[n]) == held {
			n++
		}
		run := left[:n]
		left = left[n:]
		var err error
		if held {
			err = x.deliver(ctx, run, queue, free)
		} else {
			err = x.fetch(ctx, run, queue, free)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deliver delivers frames that are not fetched.
func (x *extractor) deliver(ctx context.Context, run []frame, queue chan<- delivery, free <-chan []byte) error {
	for _, f := range run {
		select {
		case <-free: // each delivery gives one back
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := send(ctx, queue, delivery{frame: f}); err != nil {
			return err
		}
	}
	return nil
}

// fetch reads frames with one request, and delivers them.
func (x *extractor) fetch(ctx context.Context, run []frame, queue chan<- delivery, free <-chan []byte) error {
	at := run[0].off
	body, err := x.src.Range(ctx, at, run[len(run)-1].end-at)
	if err != nil {
		return err
	}
	defer body.Close()
	for _, f := range run {
		var buf []byte
		select {
		case buf = <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := skip(body, at, f.off-at); err != nil {
			return err
		}
		if buf, err = readN(body, buf, f.off, f.end-f.off); err != nil {
			return fmt.Errorf("read %s: %w", x.toc.frameNames(f), err)
		}
		at = f.end
		if err := send(ctx, queue, delivery{f, buf}); err != nil {
			return err
		}
	}
	return nil
}

// skip reads over frames that contain only tar headers.
func skip(r io.Reader, off, n int64) error {
	got, err := io.CopyN(io.Discard, r, n)
	if errors.Is(err, io.EOF) {
		return cutShort(off + got)
	}
	return err
}

func send(ctx context.Context, queue chan<- delivery, d delivery) error {
	select {
	case queue <- d:
		return nil
	case <-ctx.Done(): // the workers may be gone
		return ctx.Err()
	}
}

// work unpacks frames and writes their content until there are no more.
func (x *extractor) work(ctx context.Context, queue <-chan delivery, free chan<- []byte) error {
	w := &worker{x: x, dirs: x.root.Dirs()}
	defer w.dirs.Close()
	if x.opt.Store != nil {
		w.store = x.opt.Store.root.Dirs()
		defer w.store.Close()
	}
	for d := range queue {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.frame(ctx, d); err != nil {
			return err
		}
		free <- d.packed
		x.advance(d.frame)
	}
	return nil
}

func (x *extractor) advance(f frame) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done += f.end - f.off
	if x.opt.Progress != nil {
		x.opt.Progress(x.done, x.toc.info.Size)
	}
}

// copied returns a frame's content from the Store, or nil if a file has changed there.
func (w *worker) copied(f frame) []byte {
	raw, err := w.x.opt.Store.frame(w.x.toc, f, w.store, w.raw)
	if err != nil {
		if w.x.opt.Logger != nil {
			w.x.opt.Logger.Info("a file of the earlier install cannot be used; fetching it", "err", err)
		}
		return nil
	}
	w.x.mu.Lock()
	w.x.copied += f.end - f.off
	w.x.mu.Unlock()
	return raw
}

// intact unpacks a frame. If it is damaged, intact fetches it again.
func (x *extractor) intact(ctx context.Context, d delivery, buf []byte) ([]byte, error) {
	if d.packed == nil { // the Store could not give it
		var err error
		if d.packed, err = fetchRange(ctx, x.src, nil, d.frame.off, d.frame.end-d.frame.off); err != nil {
			return nil, err
		}
	}
	raw, err := x.toc.unpack(x.dec, d.frame, d.packed, buf)
	for try := 1; err != nil && try <= maxRefetch; try++ {
		if x.opt.Logger != nil {
			x.opt.Logger.Warn("frame is damaged, fetching it again", "offset", d.frame.off, "try", try, "err", err)
		}
		packed, ferr := fetchRange(ctx, x.src, nil, d.frame.off, d.frame.end-d.frame.off)
		if ferr != nil {
			return nil, errors.Join(err, ferr)
		}
		x.mu.Lock()
		x.refetched++
		x.mu.Unlock()
		raw, err = x.toc.unpack(x.dec, d.frame, packed, buf)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; it arrived damaged %d times: the pack, a cache or the network corrupts it; make the pack again", err, 1+maxRefetch)
	}
	return raw, nil
}

// finish does what needs all files to exist, and syncs the disk.
func (x *extractor) finish(ctx context.Context) error {
	if err := x.makeLinks(ctx); err != nil {
		return err
	}
	if err := x.finishDirs(); err != nil {
		return err
	}
	if err := x.root.Sync(); err != nil {
		return failure(x.root, x.toc, "write back", "/", err)
	}
	if x.opt.Progress != nil {
		x.opt.Progress(x.toc.info.Size, x.toc.info.Size)
	}
	return nil
}
