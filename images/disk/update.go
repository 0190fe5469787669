package disk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"cloudlets/images/disk/slots"
	"cloudlets/images/disk/sparse"
)

// UpdateOptions control how a slot is written. The zero value verifies it and reports no
// progress.
type UpdateOptions struct {
	// NoVerify skips reading back.
	NoVerify bool
	// Progress is called with numbers of bytes that were written, or read back, since the
	// last call. It may be nil.
	Progress func(written, verified int64)
}

// Update writes a filesystem into the layout's Root, the slot beside the good one, and
// puts it on trial. The rest of the disk stays as it is, so the good system may run
// meanwhile. It returns how many bytes were written.
//
// A trial that has not ended is ended first, since its system is overwritten. Then the
// slot's first MiB is erased; it is written last, when all else was read back: what
// is broken off is no filesystem, and the boot loader goes on to start the good system.
// The last write of all is the sector that has the boot loader start the new one.
func (l Layout) Update(ctx context.Context, dev Device, root Filesystem, o UpdateOptions) (written int64, err error) {
	ended := ""
	fail := func(err error) (int64, error) {
		return written, fmt.Errorf("write slot %s: %w; the system in slot %s is as it was%s", l.Slot, err, l.Slot.Other(), ended)
	}
	now, err := slots.Read(dev, l.ESP.Offset)
	if err != nil {
		return fail(err)
	}
	switch {
	case l.Slot != now.Good.Other():
		return fail(errors.New("it has the good system now: look at the disk anew"))
	case root.Size() > l.Root.Size:
		return fail(fmt.Errorf("the filesystem has %d bytes, and the slot only %d", root.Size(), l.Root.Size))
	}
	if now != slots.Accepted(now.Good) {
		if err := slots.Write(dev, l.ESP.Offset, l.Sector, slots.Accepted(now.Good)); err != nil {
			return fail(err)
		}
		if !now.Failed() {
			ended = fmt.Sprintf(", and is started next: the trial of what was in slot %s has ended", l.Slot)
		}
	}
	w := &slotWriter{ctx: ctx, dev: dev, slot: l.Root, options: o, first: make([]byte, mib)}
	err = w.run(root)
	if written = w.written; err != nil {
		return fail(err)
	}
	return written, l.try(dev, now.Good)
}

// Try puts the system in the layout's Root on trial, as it is: the boot loader starts it,
// and goes back to the other one if it does not prove itself.
func (l Layout) Try(dev Device) error {
	now, err := slots.Read(dev, l.ESP.Offset)
	if err != nil {
		return err
	}
	if l.Slot != now.Good.Other() {
		return fmt.Errorf("put slot %s on trial: it has the good system already", l.Slot)
	}
	return l.try(dev, now.Good)
}

// try makes the last write of an update. If it fails, the good system is started for sure.
func (l Layout) try(dev Device, good slots.Name) error {
	want := slots.Accepted(good).OnTrial()
	err := slots.Write(dev, l.ESP.Offset, l.Sector, want)
	if err == nil {
		err = dropCache(dev)
	}
	if err == nil {
		var got slots.State
		if got, err = slots.Read(dev, l.ESP.Offset); err == nil && got != want {
			err = fmt.Errorf("the state of the slots reads back as %+v, and %+v was written: replace the disk", got, want)
		}
	}
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("put slot %s on trial: %w", l.Slot, err), slots.Write(dev, l.ESP.Offset, l.Sector, slots.Accepted(good)))
}

// slotWriter writes a slot in pieces of up to a MiB, and keeps the first one back. Each
// piece begins and ends with a page of 4 KiB, whatever is written, so that a device can be
// used without the page cache.
type slotWriter struct {
	ctx     context.Context
	dev     Device
	slot    Partition
	options UpdateOptions

	first   []byte // the slot's first MiB
	buf     []byte // what comes next, in the slot from at on
	at      int64
	records []write // offsets are on the device
	written int64
}

var _ sparse.Writer = (*slotWriter)(nil)

// run writes a filesystem, all but its beginning, reads it back, and then does the same
// for the beginning.
func (w *slotWriter) run(root Filesystem) error {
	w.buf = make([]byte, 0, mib)
	if _, err := w.dev.WriteAt(make([]byte, mib), w.slot.Offset); err != nil {
		return err
	}
	if err := w.dev.Sync(); err != nil {
		return err
	}
	if err := root.Write(w.ctx, w); err != nil {
		return err
	}
	if err := w.Skip(-(w.at + int64(len(w.buf))) & (sparse.BlockSize - 1)); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.settle(); err != nil {
		return err
	}
	w.records = nil
	if err := w.put(w.first, 0); err != nil {
		return err
	}
	return w.settle()
}

// Write takes the next bytes.
func (w *slotWriter) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		room := mib - (w.at+int64(len(w.buf)))%mib
		n := int(min(room, int64(len(p)-done)))
		w.buf = append(w.buf, p[done:done+n]...)
		if done += n; int64(n) == room {
			if err := w.flush(); err != nil {
				return done, err
			}
		}
	}
	return done, nil
}

// Skip leaves whole pages as they are. What is less than a page is written as zeros.
func (w *slotWriter) Skip(n int64) error {
	if n < 0 {
		return fmt.Errorf("cannot skip %d bytes", n)
	}
	head := min(n, -(w.at+int64(len(w.buf)))&(sparse.BlockSize-1))
	if _, err := w.Write(make([]byte, head)); err != nil {
		return err
	}
	n -= head
	if whole := n / sparse.BlockSize * sparse.BlockSize; whole > 0 {
		if err := w.flush(); err != nil {
			return err
		}
		w.at += whole
		n -= whole
	}
	_, err := w.Write(make([]byte, n))
	return err
}

// flush writes what is buffered, or keeps it if it belongs to the slot's beginning.
func (w *slotWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	at := w.at
	w.at += int64(len(w.buf))
	defer func() { w.buf = w.buf[:0] }()
	if w.at > w.slot.Size {
		return fmt.Errorf("the filesystem is larger than its slot, which has %d bytes", w.slot.Size)
	}
	if at < mib {
		copy(w.first[at:], w.buf)
		return nil
	}
	return w.put(w.buf, at)
}

func (w *slotWriter) put(p []byte, at int64) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if _, err := w.dev.WriteAt(p, w.slot.Offset+at); err != nil {
		return err
	}
	w.records = append(w.records, write{w.slot.Offset + at, int64(len(p)), sha256.Sum256(p)})
	w.written += int64(len(p))
	w.tell(int64(len(p)), 0)
	return nil
}

func (w *slotWriter) tell(written, verified int64) {
	if w.options.Progress != nil {
		w.options.Progress(written, verified)
	}
}

// settle syncs the device, and compares what was written with what it has.
func (w *slotWriter) settle() error {
	if err := w.dev.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if w.options.NoVerify {
		return nil
	}
	if err := dropCache(w.dev); err != nil {
		return err
	}
	r := recorder{dev: progressReader{w.dev, w}, writes: w.records}
	return r.verify(w.ctx)
}

// progressReader tells of what is read back.
type progressReader struct {
	Device
	w *slotWriter
}

func (r progressReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.Device.ReadAt(p, off)
	r.w.tell(0, int64(n))
	if err == io.EOF && n == len(p) {
		err = nil
	}
	return n, err
}
