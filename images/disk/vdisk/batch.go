package vdisk

import "iter"

// batch is a list of cells. A cell is the unit in which a disk's content is stored or
// left out. No cell of a batch is all zeros. The cells are in the disk's order, with
// gaps where the disk has holes. The data belongs to the caller.
type batch struct {
	cell int     // size of a cell in bytes
	data []byte  // the cells, one after the other
	offs []int64 // offset of each cell on the disk
}

// at returns the i-th cell.
func (b batch) at(i int) []byte {
	return b.data[i*b.cell : (i+1)*b.cell]
}

// runs splits the batch where cells are not adjacent on the disk, and at multiples of
// span.
func (b batch) runs(span int64) iter.Seq[batch] {
	return b.groups(func(prev, next int64) bool {
		return next == prev+int64(b.cell) && next%span != 0
	})
}

// within splits the batch only at multiples of span.
func (b batch) within(span int64) iter.Seq[batch] {
	return b.groups(func(prev, next int64) bool { return prev/span == next/span })
}

// groups splits the batch between cells that do not belong together.
func (b batch) groups(together func(prev, next int64) bool) iter.Seq[batch] {
	return func(yield func(batch) bool) {
		for start := 0; start < len(b.offs); {
			end := start + 1
			for end < len(b.offs) && together(b.offs[end-1], b.offs[end]) {
				end++
			}
			if !yield(batch{b.cell, b.data[start*b.cell : end*b.cell], b.offs[start:end]}) {
				return
			}
			start = end
		}
	}
}
