package disk

import (
	"context"
	"errors"
	"fmt"

	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/sparse"
)

// Filesystem is a filesystem that can be written from its beginning to its end,
// such as an ext4.Layout.
type Filesystem interface {
	// Size returns the filesystem's length in bytes.
	Size() int64
	// Write writes the filesystem, Size bytes, in ascending order.
	Write(ctx context.Context, w sparse.Writer) error
}

// Write writes the whole disk with its filesystems from its beginning to its
// end. The filesystem persistent goes into the persistent partition; it must be
// nil if the layout has no such partition or keeps it. Write checks its arguments
// before the first byte. Unlike an [Installer], it does not control the order in
// which bytes become durable.
func (l Layout) Write(ctx context.Context, w sparse.Writer, c Contents, root, persistent Filesystem) error {
	if err := l.fits(root, persistent); err != nil {
		return fmt.Errorf("write disk: %w", err)
	}
	p, err := l.prepare(ctx, c)
	if err != nil {
		return err
	}
	table, err := l.Table()
	if err != nil {
		return err
	}
	out := sparse.InOrder(w)
	for _, step := range []func() error{
		func() error { return out.Put(p.first, 0) },
		func() error { return out.Put(p.core, l.BIOSBoot.Offset) },
		func() error {
			return fat.WriteInOrder(ctx, offsetWriter{out, l.ESP.Offset}, l.ESP.Size, p.esp, p.files)
		},
		func() error { return out.SkipTo(l.Root.Offset) },
		func() error { return root.Write(ctx, out) },
		func() error { return l.clearOther(out) },
		func() error { return l.writePersistent(ctx, out, persistent) },
		func() error { return out.Put(table.Backup, table.BackupOffset) },
		func() error { return out.SkipTo(l.Size) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("write disk: %w", err)
		}
	}
	return nil
}

// fits checks that each filesystem fits into its partition.
func (l Layout) fits(root, persistent Filesystem) error {
	switch {
	case root.Size() > l.Root.Size:
		return fmt.Errorf("the root filesystem has %d bytes, but its partition has only %d: make the disk larger or the filesystem smaller", root.Size(), l.Root.Size)
	case (persistent != nil) != (l.Persistent.Size > 0 && !l.Kept):
		return errors.New("a filesystem for the persistent partition must be given if the layout has a new persistent partition, and only then")
	case persistent != nil && persistent.Size() > l.Persistent.Size:
		return fmt.Errorf("the persistent filesystem has %d bytes, but its partition has only %d: make the partition larger", persistent.Size(), l.Persistent.Size)
	}
	return nil
}

// clearOther clears the beginning of the other slot, which has no system yet. On a device an
// older one may be there.
func (l Layout) clearOther(out *sparse.Ordered) error {
	if l.Other.Size == 0 {
		return nil
	}
	return out.Put(make([]byte, mib), l.Other.Offset)
}

func (l Layout) writePersistent(ctx context.Context, out *sparse.Ordered, persistent Filesystem) error {
	if persistent == nil {
		return nil
	}
	if err := out.SkipTo(l.Persistent.Offset); err != nil {
		return err
	}
	return persistent.Write(ctx, out)
}
