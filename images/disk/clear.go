package disk

import (
	"context"
	"fmt"
)

// Clear erases the old partition tables and everything by which the new
// partitions could be taken for what was there before: the first and last
// MiB of the disk, and of each partition of the layout. It is the first
// thing written to a disk, and destroys what is on it.
func (i *Installer) Clear(ctx context.Context) error {
	i.first = nil
	if err := i.layout.eraseTables(ctx, i.dev); err != nil {
		return err
	}
	for _, p := range i.layout.Partitions() {
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
