//go:build linux

package device

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"cloudlets/images/disk"
)

// journal writes a device and remembers what it wrote, so that it can be read
// back.
type journal struct {
	dev     disk.Device
	layout  disk.Layout
	options Options
	records []record
	result  Result
}

func newJournal(dev disk.Device, l disk.Layout, o Options) *journal {
	if o.Progress == nil {
		o.Progress = func(Stage, int64, int64) {}
	}
	return &journal{dev: dev, layout: l, options: o}
}

// run writes in the order that keeps a failure from looking like success:
// erase both ends; write all but these; read it back; then the last chunk,
// and then the first.
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

// fill writes everything but both ends, while the next chunk is made.
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

// drain writes the chunks of a stream, until there are no more.
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
			s.free <- c // has room for all of them
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// limit is how much of a chunk is on the device, in bytes.
func (j *journal) limit(index int64) int {
	return int(min(chunkSize, j.layout.Size-index*chunkSize))
}

// write writes what is in a chunk.
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
	j.records = append(j.records, record{c.index, c.used, sum(c.buf, runs)})
	return nil
}

// finish writes what makes the device one that firmware knows: the last chunk,
// and when that is there for sure, the first.
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

// settle makes what was written durable, and reads back what was written from
// a record on.
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

// verify reads one chunk back.
func (j *journal) verify(rec record, buf []byte, total int64) error {
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
		return fmt.Errorf("the MiB at byte %d is not what was written: %w", rec.index*chunkSize, ErrDamaged)
	}
	return nil
}

// revoke erases both ends again, of a device that failed at the last.
func (j *journal) revoke(ctx context.Context, why error) error {
	if err := j.clear(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("%w; and %w", why, errNotRevoked)
	}
	return why
}

// clear erases whatever the device could be taken for.
func (j *journal) clear(ctx context.Context) error {
	return disk.NewInstaller(j.dev, j.layout).Clear(ctx)
}
