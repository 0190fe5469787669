package disk

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// Clear erases the old partition tables and everything by which the new
// partitions could be taken for what was there before: the first and last
// MiB of the disk, and of each partition of the layout. It is the first
// thing written to a disk, and destroys what is on it.
//
// A partition that is kept is not touched, and a table that lists nothing but
// it takes the place of the old one: it is found again whatever happens.
func (i *Installer) Clear(ctx context.Context) error {
	i.first = nil
	if err := i.layout.eraseTables(ctx, i.dev); err != nil {
		return err
	}
	for _, p := range i.layout.Partitions() {
		if i.layout.Kept && p == i.layout.Persistent {
			continue
		}
		length := min(mib, p.Size)
		for _, off := range []int64{p.Offset, p.end() - length} {
			if err := erase(ctx, i.dev, off, length); err != nil {
				return err
			}
		}
	}
	return syncErased(i.dev)
}

// eraseTables zeroes the first MiB and the last: without the first, nothing
// boots. What is beyond the last whole sector cannot be written.
func (l Layout) eraseTables(ctx context.Context, dev Device) error {
	if l.Kept {
		return l.leaveKept(ctx, dev)
	}
	if err := erase(ctx, dev, 0, mib); err != nil {
		return err
	}
	if err := syncErased(dev); err != nil {
		return err
	}
	end := l.Size / l.Sector * l.Sector
	if err := erase(ctx, dev, end-mib, mib); err != nil {
		return err
	}
	return syncErased(dev)
}

// leaveKept writes a table that lists only the partition that is kept. While
// one of the copies is written the other is whole, and so is all that it lists:
// the first is written first, unless the one at the end does not list the
// partition: it is not there where an image was copied to a larger disk.
func (l Layout) leaveKept(ctx context.Context, dev Device) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clear disk: %w", err)
	}
	table, err := l.tableOf(l.Persistent)
	if err != nil {
		return fmt.Errorf("clear disk: %w", err)
	}
	copies := []part{{table.First, 0}, {table.Backup, table.BackupOffset}}
	if p, err := FindPersistent(withoutFirst{dev, l.Sector}, l.Size, l.Sector); err != nil || p.Offset != l.Persistent.Offset || p.Size != l.Persistent.Size {
		slices.Reverse(copies)
	}
	for _, c := range copies {
		if _, err := dev.WriteAt(c.bytes, c.off); err != nil {
			return fmt.Errorf("clear disk: %d bytes at %d: %w", len(c.bytes), c.off, err)
		}
		if err := syncErased(dev); err != nil {
			return err
		}
	}
	return nil
}

// part is what goes to a place of a disk.
type part struct {
	bytes []byte
	off   int64
}

// withoutFirst is a disk whose first copy of the partition table is not seen.
type withoutFirst struct {
	io.ReaderAt
	sector int64
}

// ReadAt reads zeros before the entries.
func (w withoutFirst) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(p, off)
	if end := 2 * w.sector; off < end {
		clear(p[:min(int64(n), end-off)])
	}
	return n, err
}

func erase(ctx context.Context, dev Device, off, length int64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clear disk: %w", err)
	}
	if _, err := dev.WriteAt(make([]byte, length), off); err != nil {
		return fmt.Errorf("clear disk: %d bytes at %d: %w", length, off, err)
	}
	return nil
}

func syncErased(dev Device) error {
	if err := dev.Sync(); err != nil {
		return fmt.Errorf("clear disk: sync: %w", err)
	}
	return nil
}
