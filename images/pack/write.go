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

// Options say how [Write] makes a pack. The zero value is right for most.
type Options struct {
	// Level is the zstd level as the zstd command counts, 1 to 22; 0 is its
	// default, 3. Packs of different levels are different packs.
	Level int
	// Workers is how many frames are compressed at a time; 0 is one for each
	// CPU. It does not change the pack.
	Workers int
	// Skip tells which paths to leave out: an image's volatile files. A
	// directory that holds something that stays is kept, and a hard link
	// that stays gets the content of the file that does not.
	Skip func(path string) bool
	// Progress, where given, is called now and then with the number of
	// content bytes packed so far, never by two goroutines at once.
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
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(opt.encoderLevel()),
		zstd.WithEncoderConcurrency(opt.workers()), zstd.WithEncoderCRC(true))
	if err != nil {
		return Info{}, fmt.Errorf("write pack: %w", err)
	}
	defer enc.Close()
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

// finishPack joins what the tar writer knows of files with what the emitter
// knows of chunks, and appends table and footer.
func finishPack(t *tarWriter, out *emitter) (Info, error) {
	toc, err := joinTOC(t.entries, out)
	if err != nil {
		return Info{}, fmt.Errorf("write pack: the source is no sound image: %w", err)
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

// joinTOC builds the table by the same checked steps as reading it does, so
// that nothing is written which could not be read.
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
