package fat

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"cloudlets/images/bounded"
)

// chunk is the size in bytes of a write. It is a multiple of every cluster size.
const chunk = 1 << 20

// writer writes a plan to a device, in whole sectors.
type writer struct {
	ctx  context.Context
	w    io.WriterAt
	plan *plan
	buf  []byte
}

// run calls the steps in order and stops at the first error.
func (w *writer) run(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) writeAt(b []byte, off int64, what string) error {
	if err := w.ctx.Err(); err != nil {
		return fmt.Errorf("write FAT filesystem: %s: %w", what, err)
	}
	if _, err := w.w.WriteAt(b, off); err != nil {
		return fmt.Errorf("write FAT filesystem: %s at byte %d: %w", what, off, err)
	}
	return nil
}

// invalidate clears the boot sector, so that an old filesystem is no longer
// recognised.
func (w *writer) invalidate() error {
	return w.writeAt(make([]byte, w.plan.sector), 0, "clear boot sector")
}

func (w *writer) directories() error {
	p := w.plan
	for _, d := range p.dirs {
		content := p.directoryBytes(d)
		off, room := p.clusterOffset(d.cluster), p.clustersOf(d)*p.cluster
		if d == p.root && !p.fat32 {
			off, room = (p.reserved+tableCount*p.tableSize)*p.sector, p.rootSectors*p.sector
		}
		padded := make([]byte, room)
		copy(padded, content)
		if err := w.writeAt(padded, off, "directory"); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) contents() error {
	w.buf = make([]byte, chunk)
	for _, n := range w.plan.files {
		if err := w.content(n); err != nil {
			return err
		}
	}
	return nil
}

// content copies one file and checks that its length is the announced one.
func (w *writer) content(n *node) (err error) {
	r, err := n.file.Open()
	if err != nil {
		return fmt.Errorf("write FAT filesystem: open %s: %w", n.file.Path, err)
	}
	defer func() {
		if cerr := r.Close(); cerr != nil && err == nil {
			err = fmt.Errorf("write FAT filesystem: close %s: %w", n.file.Path, cerr)
		}
	}()
	off := w.plan.clusterOffset(n.cluster)
	for left := n.file.Size; left > 0; {
		part := min(left, chunk)
		if _, err := io.ReadFull(r, w.buf[:part]); err != nil {
			return fmt.Errorf("write FAT filesystem: read %s, %d of its %d bytes missing: %w", n.file.Path, left, n.file.Size, bounded.NoEOF(err))
		}
		padded := ceilDiv(part, w.plan.cluster) * w.plan.cluster
		clear(w.buf[part:padded])
		if err := w.writeAt(w.buf[:padded], off, n.file.Path); err != nil {
			return err
		}
		off += padded
		left -= part
	}
	return expectEnd(r, n.file)
}

// expectEnd returns an error if a file is longer than announced.
func expectEnd(r io.Reader, f File) error {
	var one [1]byte
	switch n, err := io.ReadFull(r, one[:]); {
	case n > 0:
		return fmt.Errorf("write FAT filesystem: %s is longer than its announced %d bytes", f.Path, f.Size)
	case err != io.EOF:
		return fmt.Errorf("write FAT filesystem: read %s: %w", f.Path, err)
	}
	return nil
}

// tables writes both file allocation tables completely, because unused entries
// must be zero.
func (w *writer) tables() error {
	p := w.plan
	length := p.tableSize * p.sector
	for i := range int64(tableCount) {
		start := (p.reserved + i*p.tableSize) * p.sector
		entries := tableEntries{plan: p}
		for off := int64(0); off < length; off += chunk {
			b := make([]byte, min(chunk, length-off))
			entries.fill(b)
			if err := w.writeAt(b, start+off, "allocation table"); err != nil {
				return err
			}
		}
	}
	return nil
}

// tableEntries yields the entries of an allocation table in order.
type tableEntries struct {
	plan    *plan
	cluster uint32
	end     int // index in plan.ends of the next end of a chain
}

func (t *tableEntries) fill(b []byte) {
	if t.plan.fat32 {
		for i := 0; i < len(b); i += 4 {
			binary.LittleEndian.PutUint32(b[i:], t.next())
		}
		return
	}
	for i := 0; i < len(b); i += 2 {
		binary.LittleEndian.PutUint16(b[i:], uint16(t.next()))
	}
}

// next returns the entry of the next cluster: the number of the cluster after it
// in its file, the mark for the last cluster of a file, or zero if it is free.
func (t *tableEntries) next() uint32 {
	const last = 0x0fffffff // its low half is FAT16's
	c := t.cluster
	t.cluster++
	switch {
	case c == 0:
		return last&^0xff | mediaFixed
	case c == 1:
		return last // shut down cleanly, no read errors
	case c >= firstCluster+t.plan.used:
		return 0
	case c == t.plan.ends[t.end]:
		t.end++
		return last
	default:
		return c + 1
	}
}

// reserved writes the sectors between the boot sector and the tables.
func (w *writer) reserved() error {
	p := w.plan
	b := make([]byte, p.reserved*p.sector)
	if p.fat32 {
		copy(b[infoSector*p.sector:], p.info())
		copy(b[backupSector*p.sector:], p.bootRecord())
		copy(b[(backupSector+infoSector)*p.sector:], p.info())
	}
	if b = b[p.sector:]; len(b) == 0 {
		return nil
	}
	return w.writeAt(b, p.sector, "reserved sectors")
}

func (w *writer) bootSector() error {
	return w.writeAt(w.plan.bootRecord(), 0, "boot sector")
}
