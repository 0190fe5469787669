package target

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/slots"
	"cloudlets/images/manifest"
)

// SlotDisk is a disk with two slots, as it is before an update.
type SlotDisk struct {
	// Layout has the slot that an update writes as its Root, and the good one as its Other.
	Layout disk.Layout
	State  slots.State
	// Shim says that the disk starts with Debian's shim.
	Shim bool
	// Good is the manifest of the good system, or nil if it cannot be read.
	Good *manifest.Manifest
	// Grows says that the good system grows into a larger disk.
	Grows bool
	// Beside says that there is a whole system in the slot that an update writes.
	Beside bool
}

// maxKept bounds a file that is read from a slot, in bytes.
const maxKept = 16 << 20

// ReadSlots looks at a disk of size bytes. The error wraps [disk.ErrNoSlots] if it has no
// two slots.
func ReadSlots(r io.ReaderAt, size, sector int64) (d SlotDisk, err error) {
	if d.Layout, err = disk.FindSlots(r, size, sector); err != nil {
		return d, err
	}
	if d.State, err = slots.Read(r, d.Layout.ESP.Offset); err != nil {
		return d, fmt.Errorf("the disk has two slots for systems, and it is not known which one is good: %w", err)
	}
	d.Layout = d.Layout.In(d.State.Good.Other())
	if d.Shim, err = disk.HasShim(r, d.Layout); err != nil {
		return d, err
	}
	if d.Good, err = GoodManifest(r, d.Layout); err != nil { // then nothing is said of what changes, and that is all
		d.Good = nil
	}
	menu, err := ext4.ReadFile(partition(r, d.Layout.Other), bootloader.SlotMenuPath, maxKept)
	d.Grows = err == nil && bytes.Contains(menu, []byte(GrowWord))
	_, err = ext4.ReadFile(partition(r, d.Layout.Root), bootloader.SlotMenuPath, maxKept)
	d.Beside = err == nil
	return d, nil
}

// GoodManifest reads the manifest of a disk's good system, which is in the layout's Other.
func GoodManifest(r io.ReaderAt, l disk.Layout) (*manifest.Manifest, error) {
	text, err := ext4.ReadFile(partition(r, l.Other), images.ManifestPath, maxKept)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of the system in slot %s: %w", l.Slot.Other(), err)
	}
	return manifest.Parse("the system in slot "+l.Slot.Other().String(), text)
}

// partition reads a partition of a disk.
func partition(r io.ReaderAt, p disk.Partition) io.ReaderAt {
	return io.NewSectionReader(r, p.Offset, p.Size)
}

// Update is a planned update of a disk with two slots: nothing is written yet.
type Update struct {
	*Disk
	// Slot is the one that is written.
	Slot slots.Name
}

// NewUpdate plans to write a system into the slot of a disk that is not the good one. The
// disk keeps its size, its persistent partition and its boot loaders, so options that
// concern these have no effect.
func NewUpdate(ctx context.Context, s System, o Options, on SlotDisk) (*Update, error) {
	u, err := newUpdate(ctx, s, o, on)
	if err != nil {
		return nil, fmt.Errorf("update a disk to image %s: %w", s.Name, err)
	}
	return u, nil
}

func newUpdate(ctx context.Context, s System, o Options, on SlotDisk) (*Update, error) {
	l := on.Layout
	if o.SecureBoot.Shim && !on.Shim {
		return nil, errors.New("the disk starts without shim, and an update does not change the boot loaders: leave out --secure-boot, or make the disk anew")
	}
	if o.Grow && l.Persistent.Size == 0 {
		return nil, errors.New("the disk has no persistent partition, which is what grows on a disk with two slots: leave out --grow, or make the disk anew, with --persistent-partition")
	}
	o.SecureBoot.Shim = o.SecureBoot.Shim || on.Shim
	o.Slots, o.Stale, o.Sector, o.Persistent, o.Keep, o.Grow = true, true, l.Sector, 0, nil, o.Grow || on.Grows
	if l.Persistent.Size > 0 && len(s.Manifest.Persistent) > 0 {
		o.Keep = &l.Persistent
	}
	d, o, err := begin(ctx, s, o)
	if err != nil {
		return nil, err
	}
	if d.Plan.Arch != l.Arch {
		return nil, fmt.Errorf("the disk has systems for %s, and the image is for %s", l.Arch, d.Plan.Arch)
	}
	d.Layout = l
	if on.Good != nil {
		d.Notices = append(d.Notices, PersistentChanges(on.Good, s.Manifest, l)...)
	}
	room, err := on.room(ctx, s.Source, d.Plan.Places)
	if err != nil {
		return nil, err
	}
	d.Notices = append(d.Notices, room...)
	source, err := d.slotSource(s, o, l)
	if err != nil {
		return nil, err
	}
	if err := d.fill(ctx, source, o); err != nil {
		return nil, err
	}
	return &Update{Disk: d, Slot: l.Slot}, d.setMenu()
}

// fill plans the filesystem of the slot.
func (d *Disk) fill(ctx context.Context, source images.Source, o Options) (err error) {
	whole := d.Plan.Root(d.Layout, d.Time, o.Stale)
	whole.Size = d.Layout.Root.Size
	d.root, err = ext4.Plan(ctx, source, whole)
	if errors.Is(err, ext4.ErrTooSmall) {
		needed, nerr := RootSize(ctx, source, 0)
		if nerr != nil {
			return nerr
		}
		return fmt.Errorf("slot %s has %s, and the image needs %s, which is %s more: use a smaller image, or make the disk anew, with more --free or --size",
			d.Layout.Slot, bytesize.Decimal(d.Layout.Root.Size), bytesize.Decimal(needed), bytesize.Decimal(max(needed-d.Layout.Root.Size, 0)))
	}
	if err == nil && d.root.Free() < FirstRoom {
		d.Notices = append(d.Notices, fmt.Sprintf("only %s are free in slot %s beside the image, and a system may need %s for what it writes first",
			bytesize.Decimal(d.root.Free()), d.Layout.Slot, bytesize.Decimal(FirstRoom)))
	}
	return err
}

// Write writes the slot, and puts its system on trial; see [disk.Layout.Update].
func (u *Update) Write(ctx context.Context, dev disk.Device, o disk.UpdateOptions) (written int64, err error) {
	return u.Layout.Update(ctx, dev, u.root, o)
}

// PersistentChanges returns sentences, for a person, about the persistent paths that the
// good system of a disk with two slots and its update do not have in common.
func PersistentChanges(good, update *manifest.Manifest, l disk.Layout) (list []string) {
	news, old := beyond(update.Persistent, good.Persistent), beyond(good.Persistent, update.Persistent)
	if l.Persistent.Size == 0 {
		if len(news) > 0 {
			list = append(list, fmt.Sprintf("the image calls %s persistent, and the disk has no persistent partition: what is there stays in its slot", strings.Join(news, ", ")))
		}
		return list
	}
	if len(news) > 0 {
		list = append(list, fmt.Sprintf("%s will be persistent: what the new image has there is copied to the persistent partition, and what the system has there now stays behind in its slot", strings.Join(news, ", ")))
	}
	if len(old) > 0 {
		list = append(list, fmt.Sprintf("%s will not be persistent any more: what is kept there stays on the persistent partition, and the new system does not see it", strings.Join(old, ", ")))
	}
	return list
}

// room returns a sentence if the new persistent paths of an image take more than the
// persistent partition has. How much of that is free is not known before it is mounted.
func (on SlotDisk) room(ctx context.Context, source images.Source, places []Place) ([]string, error) {
	var news []Place
	for _, p := range places {
		if on.Good == nil || len(beyond([]string{p.Path}, on.Good.Persistent)) > 0 {
			news = append(news, p)
		}
	}
	if len(news) == 0 || on.Layout.Persistent.Size == 0 {
		return nil, nil
	}
	use, err := useOf(ctx, source, news)
	if err != nil || use <= on.Layout.Persistent.Size {
		return nil, err
	}
	return []string{fmt.Sprintf("what the image has at its new persistent paths takes about %s, and the whole persistent partition has %s: the new system will not start, and the machine will go back",
		bytesize.Decimal(use), bytesize.Decimal(on.Layout.Persistent.Size))}, nil
}

// beyond returns the paths that are neither among others nor beneath one of them.
func beyond(paths, others []string) (list []string) {
	for _, p := range slices.Sorted(slices.Values(paths)) {
		p = images.CleanPath(p)
		if !slices.ContainsFunc(others, func(above string) bool { return Place{At: images.CleanPath(above)}.Holds(p) }) {
			list = append(list, p)
		}
	}
	return slices.Compact(list)
}
