//go:build linux

package device

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"cloudlets/images/disk"
)

// journal writes to a device and remembers the digests of what it wrote, so that it
// can be verified.
type journal struct {
	dev     disk.Device
	layout  disk.Layout
	options Options
	records []writtenChunk
	result  Result
}

func newJournal(dev disk.Device, l disk.Layout, o Options) *journal {
	if o.Progress == nil {
		o.Progress = func(Stage, int64, int64) {}
	}
	return &journal{dev: dev, layout: l, options: o}
}

// run writes in an order in which a failed write never looks like a finished one: it
// erases both ends, writes everything between them, reads that back, and then writes
// the last chunk and finally the first.
func (j *journal) run(ctx context.Context, c Content) error {
	if err := j.clear(ctx); err != nil {
		return err
	}
	s, err := j.fill(ctx, c)
	if err != nil {
		return err
	}
	if err := j.settle(ctx, 0, j.result.Written+s.kept(j)); err != nil {
		return err
	}
	if err := j.finish(ctx, s); err != nil {
		return j.revoke(ctx, err)
	}
	return nil
}

// fill writes everything except both ends. The next chunk is produced while one is
// written.
func (j *journal) fill(ctx context.Context, c Content) (*stream, error) {
	group, ctx := errgroup.WithContext(ctx)
	s := newStream(ctx, j.layout.Size)
	group.Go(func() error { return j.drain(ctx, s) })
	group.Go(func() error {
		if err := c.Write(ctx, s); err != nil {
			return err
		}
		return s.end()
	})
	return s, group.Wait()
}

// drain writes the chunks of a stream until it ends.
func (j *journal) drain(ctx context.Context, s *stream) error {
	for {
		select {
		case c, more := <-s.full:
			if !more {
				return nil
			}
			if err := j.write(c); err != nil {
				return err
			}
			s.free <- c // never blocks, because the channel has room for all chunks
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// limit returns how many bytes of a chunk are within the device.
func (j *journal) limit(index int64) int {
	return int(min(chunkSize, j.layout.Size-index*chunkSize))
}

// write writes the used pages of a chunk.
func (j *journal) write(c *chunk) error {
	runs := c.used.runs(j.limit(c.index))
	for _, r := range runs {
		off := c.offset() + int64(r.from)
		if _, err := j.dev.WriteAt(c.buf[r.from:r.to], off); err != nil {
			return fmt.Errorf("write at byte %d: %w", off, err)
		}
		j.result.Written += r.length()
		j.options.Progress(Writing, r.length(), 0)
	}
	j.records = append(j.records, writtenChunk{c.index, c.used, sum(c.buf, runs)})
	return nil
}

// finish writes the ends, by which firmware recognises the disk: the last chunk, and
// once that is verified, the first.
func (j *journal) finish(ctx context.Context, s *stream) error {
	total := j.result.Written + s.kept(j)
	for _, c := range []*chunk{s.last, s.first} {
		if c == nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		before := len(j.records)
		if err := j.write(c); err != nil {
			return err
		}
		if err := j.settle(ctx, before, total); err != nil {
			return err
		}
	}
	return nil
}

// settle syncs the device, and verifies the writes from the given one on.
func (j *journal) settle(ctx context.Context, from int, total int64) error {
	if err := j.dev.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if j.options.NoVerify {
		return nil
	}
	buf := alignedBytes(chunkSize)
	for _, rec := range j.records[from:] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := j.verify(rec, buf, total); err != nil {
			return err
		}
	}
	return nil
}

// verify reads one chunk back and compares its digest.
func (j *journal) verify(rec writtenChunk, buf []byte, total int64) error {
	runs := rec.used.runs(j.limit(rec.index))
	for _, r := range runs {
		off := rec.index*chunkSize + int64(r.from)
		if _, err := j.dev.ReadAt(buf[r.from:r.to], off); err != nil {
			return fmt.Errorf("read back at byte %d: %w", off, err)
		}
		j.result.Verified += r.length()
		j.options.Progress(Verifying, r.length(), total)
	}
	if sum(buf, runs) != rec.sum {
		return fmt.Errorf("the MiB at byte %d differs from what was written: %w", rec.index*chunkSize, ErrDamaged)
	}
	return nil
}

// revoke erases both ends again after the last step has failed.
func (j *journal) revoke(ctx context.Context, why error) error {
	if err := j.clear(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("%w; and %w", why, errNotRevoked)
	}
	return why
}

// clear erases the ends of the device and of its new partitions, which hold the
// signatures by which they could be recognised.
func (j *journal) clear(ctx context.Context) error {
	return disk.NewInstaller(j.dev, j.layout).Clear(ctx)
}
