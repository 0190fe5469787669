package powercut

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
)

// Cut is a power cut. The same one does the same to the same log.
type Cut struct {
	// At is the number of the request that was under way. Those before it were
	// answered.
	At int
	// Seed decides what is lost of that which was not flushed.
	Seed uint64
}

// String returns both numbers, "1234:5".
func (c Cut) String() string { return fmt.Sprintf("%d:%d", c.At, c.Seed) }

// oneIn is how seldom a write that was not flushed, and is not lost, is there in part.
const oneIn = 8

// survivors returns what is on the disk after a cut, in the order in which it is to be
// written. Of two writes to one sector the later one is there or lost: a disk that writes
// them in another order ends with the same as one that loses the later one.
func (d *Disk) survivors(c Cut) []piece {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := min(c.At, len(d.log))
	flushed := at
	for flushed > 0 && d.log[flushed-1].kind != flush {
		flushed--
	}
	r := rand.New(rand.NewPCG(c.Seed, uint64(c.At)))
	// Some disks lose all, some nothing, and some anything.
	kept := [...]float64{0, 1, r.Float64(), r.Float64()}[r.IntN(4)]
	var list []piece
	for n, req := range d.log[:min(at+1, len(d.log))] {
		whole := piece{n, req.off, req.len}
		switch {
		case req.kind == flush:
		case n < flushed, req.through && n < at:
			list = append(list, whole)
		case r.Float64() >= kept:
		case req.len > Sector && r.IntN(oneIn) == 0:
			sectors := req.len / Sector
			begin := r.Int64N(sectors)
			torn := piece{n, req.off + begin*Sector, (1 + r.Int64N(sectors-begin)) * Sector}
			list = append(list, d.whole(torn, req))
		default:
			list = append(list, whole)
		}
	}
	return list
}

// whole makes a piece of a request longer where it has only a part of what the disk writes
// together.
func (d *Disk) whole(p piece, r request) piece {
	for _, t := range d.together {
		if _, both := p.within(t.off, t.length); both {
			end := min(max(p.off+p.length, t.off+t.length), r.end())
			p.off = max(min(p.off, t.off), r.off)
			p.length = end - p.off
		}
	}
	return p
}

// Restore writes a part of the disk, as it may be after a cut, to a file that is empty.
func (d *Disk) Restore(f *os.File, c Cut, off, length int64) error {
	list := d.survivors(c)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.copyBase(f, off, length); err != nil {
		return fmt.Errorf("restore the disk after a power cut: %w", err)
	}
	for _, p := range list {
		if p, ok := p.within(off, length); ok {
			if err := d.apply(f, d.log[p.request], p, off); err != nil {
				return fmt.Errorf("restore the disk after a power cut: %w", err)
			}
		}
	}
	return nil
}

// Mark identifies what Restore writes: parts of the same disk with the same mark have the
// same bytes.
func (d *Disk) Mark(c Cut, off, length int64) uint64 {
	h := fnv.New64a()
	for _, p := range d.survivors(c) {
		if p, ok := p.within(off, length); ok {
			fmt.Fprintln(h, p.request, p.off, p.length)
		}
	}
	return h.Sum64()
}

// within returns what of a piece is in a part of the disk, and whether anything is.
func (p piece) within(off, length int64) (piece, bool) {
	begin, end := max(p.off, off), min(p.off+p.length, off+length)
	return piece{p.request, begin, end - begin}, begin < end
}
