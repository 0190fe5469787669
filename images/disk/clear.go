package disk

import (
	"context"
	"fmt"
	"io"
	"slices"

	"cloudlets/images/disk/probe"
)

// Clear erases the first and last MiB of the disk and of each partition of the
// layout. These hold the old partition tables and the signatures by which a new
// partition could be mistaken for an old one. Clear is the first write to a disk
// and destroys the data on it.
//
// A kept partition is left untouched. The old table is then replaced by one that
// lists only the kept partition, so the partition can be found even if the
// installation fails later.
func (i *Installer) Clear(ctx context.Context) error {
	if err := i.Undo(ctx); err != nil {
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

// eraseTables zeroes the first MiB but for the mark of an unfinished install, so
// that the disk no longer boots, and then zeroes the last MiB. Bytes beyond the last whole sector cannot be written.
func (l Layout) eraseTables(ctx context.Context, dev Device) error {
	if l.Kept {
		return l.leaveKept(ctx, dev)
	}
	return l.leaveMark(ctx, dev, probe.Unfinished(), mib)
}

// leaveMark leaves the first MiB of the disk as it says, the boot sector first, so that no
// firmware starts what is half gone. Then it erases last bytes at the disk's end.
func (l Layout) leaveMark(ctx context.Context, dev Device, first []byte, last int64) error {
	for _, part := range []extentWrite{{first[:l.Sector], 0}, {first[l.Sector:], l.Sector}} {
		if err := overwrite(ctx, dev, part.bytes, part.off); err != nil {
			return err
		}
		if err := syncErased(dev); err != nil {
			return err
		}
	}
	end := l.Size / l.Sector * l.Sector
	if err := erase(ctx, dev, end-last, last); err != nil {
		return err
	}
	return syncErased(dev)
}

// leaveKept writes a table that lists only the kept partition. It writes one
// copy of the table at a time, so a power failure leaves the other copy intact.
// It begins with the first copy if the backup lists the partition. The backup
// does not if, for example, an image was copied to a larger disk; then leaveKept
// begins with the backup.
func (l Layout) leaveKept(ctx context.Context, dev Device) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clear disk: %w", err)
	}
	table, err := l.tableOf(l.Persistent)
	if err != nil {
		return fmt.Errorf("clear disk: %w", err)
	}
	copies := []extentWrite{{table.First, 0}, {table.Backup, table.BackupOffset}}
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

// extentWrite is a write of some bytes at an offset.
type extentWrite struct {
	bytes []byte
	off   int64
}

// withoutFirst is a disk that hides the first copy of the partition table.
type withoutFirst struct {
	io.ReaderAt
	sector int64
}

// ReadAt returns zeros for the sectors before the table's entries.
func (w withoutFirst) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(p, off)
	if end := 2 * w.sector; off < end {
		clear(p[:min(int64(n), end-off)])
	}
	return n, err
}

// withoutBackup is a disk that hides what is at byte last and after it, where the backup
// table's header is.
type withoutBackup struct {
	io.ReaderAt
	last int64
}

// ReadAt returns zeros for the last sector.
func (w withoutBackup) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.ReaderAt.ReadAt(p, off)
	if from := max(0, w.last-off); from < int64(n) {
		clear(p[from:n])
	}
	return n, err
}

func erase(ctx context.Context, dev Device, off, length int64) error {
	return overwrite(ctx, dev, make([]byte, length), off)
}

func overwrite(ctx context.Context, dev Device, with []byte, off int64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("clear disk: %w", err)
	}
	if _, err := dev.WriteAt(with, off); err != nil {
		return fmt.Errorf("clear disk: %d bytes at %d: %w", len(with), off, err)
	}
	return nil
}

func syncErased(dev Device) error {
	if err := dev.Sync(); err != nil {
		return fmt.Errorf("clear disk: sync: %w", err)
	}
	return nil
}
