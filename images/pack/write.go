package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"cloudlets/images"
	"cloudlets/images/layers"
)

// Options configure [Write]. The zero value suits most callers.
type Options struct {
	// Level is the compression level of the zstd command, 1 to 22; 0 means its
	// default, 3. Packs of different levels have different bytes.
	Level int
	// Workers is the number of frames that are compressed at the same time; 0
	// means one for each CPU. It does not affect the bytes of the pack.
	Workers int
	// Skip reports whether to leave out a path, e.g. a volatile file of an
	// image. A directory stays if anything in it stays. If a file is left out
	// but a hard link to it stays, the hard link gets the content.
	Skip func(path string) bool
	// Progress, if not nil, is called from time to time with the number of
	// content bytes packed so far. It is never called by two goroutines at
	// once.
	Progress func(done int64)
}

const defaultLevel = 3

func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

func (o Options) encoderLevel() zstd.EncoderLevel {
	if o.Level == 0 {
		return zstd.EncoderLevelFromZstd(defaultLevel)
	}
	return zstd.EncoderLevelFromZstd(o.Level)
}

// Write makes a pack of src and writes it to w, in the canonical order of
// [images.Ordered] if src can be read in it, so that the same files make the
// same pack whatever they came in. Its memory does not grow with the content,
// only with the number of files and chunks. A source that has no order
// ([images.ErrNoOrder]) is packed as it comes.
func Write(ctx context.Context, w io.Writer, src images.Source, opt Options) (Info, error) {
	enc, giveBack, err := borrowEncoder(nil, encoderKind{opt.encoderLevel(), opt.workers(), true})
	if err != nil {
		return Info{}, fmt.Errorf("write pack: %w", err)
	}
	defer giveBack()
	switch tree, err := images.Order(ctx, src); {
	case err == nil:
		src = tree
	case !errors.Is(err, images.ErrNoOrder):
		return Info{}, fmt.Errorf("write pack: %w", err)
	}
	if opt.Skip != nil {
		src = layers.Select(src, func(path string) bool { return !opt.Skip(path) })
	}
	g, ctx := errgroup.WithContext(ctx)
	p := newPress(ctx, enc, opt.workers())
	t := newTar(p)
	out := &emitter{w: &counter{w: w}, progress: opt.Progress, digests: make(map[int32]digest)}
	p.start(g, out)
	g.Go(func() error {
		defer p.close()
		return t.run(ctx, src)
	})
	if err := g.Wait(); err != nil {
		return Info{}, fmt.Errorf("write pack: %w", err)
	}
	return finishPack(t, out)
}

// finishPack combines the tar writer's entries with the emitter's chunks, and
// appends the table and the footer.
func finishPack(t *tarWriter, out *emitter) (Info, error) {
	toc, err := joinTOC(t.entries, out)
	if err != nil {
		return Info{}, fmt.Errorf("write pack: the source is not a valid image: %w", err)
	}
	packed, raw, sum, err := encodeTOC(toc, out.digests)
	if err != nil {
		return Info{}, err
	}
	if len(packed) > maxTOC || raw > maxTOC {
		return Info{}, fmt.Errorf("write pack: the table of contents has %d bytes, more than %d: too many files for one pack", raw, maxTOC)
	}
	f := footer{off: toc.end + skipHeader, packed: int64(len(packed)), raw: raw}
	_, err1 := out.w.Write(append(appendSkippable(nil, len(packed)), packed...))
	_, err2 := out.w.Write(f.encode())
	if err := errors.Join(err1, err2); err != nil {
		return Info{}, fmt.Errorf("write pack: %w", err)
	}
	toc.info.Digest, toc.info.Size = sum.String(), out.w.n
	return toc.info, nil
}

// joinTOC builds the table with the same checks as reading it, so that nothing
// is written that could not be read.
func joinTOC(entries []images.Entry, out *emitter) (*TOC, error) {
	toc := &TOC{end: out.w.n, byPath: make(map[string]int32, len(entries))}
	next, at := 0, 0
	for i, e := range entries {
		if err := toc.closeEntry(); err != nil {
			return nil, err
		}
		if err := errors.Join(checkEntry(e), toc.addEntry(e)); err != nil {
			return nil, err
		}
		for ; next < len(out.chunks) && int(out.chunks[next].entry) == i; next++ {
			for next >= int(out.frames[at].first+out.frames[at].count) {
				at++
			}
			if err := toc.addChunk(out.chunks[next], out.frames[at].off, out.frames[at].end); err != nil {
				return nil, fmt.Errorf("%s: %w", e.Path, err)
			}
		}
	}
	if err := toc.closeEntry(); err != nil {
		return nil, err
	}
	return toc, toc.finish()
}
