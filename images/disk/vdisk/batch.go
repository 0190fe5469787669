package vdisk

import "iter"

// batch is a number of cells, the units in which the content of a disk is
// stored or left out. None is all zeros; they are in the disk's order, with
// gaps where it has holes. The data is the caller's.
type batch struct {
	cell int     // size of a cell in bytes
	data []byte  // the cells, one behind the other
	offs []int64 // where on the disk each begins
}

// at returns the i-th cell.
func (b batch) at(i int) []byte {
	return b.data[i*b.cell : (i+1)*b.cell]
}

// runs cuts the batch where cells do not lie side by side on the disk, and at
// multiples of span.
func (b batch) runs(span int64) iter.Seq[batch] {
	return b.groups(func(prev, next int64) bool {
		return next == prev+int64(b.cell) && next%span != 0
	})
}

// within cuts the batch at multiples of span only.
func (b batch) within(span int64) iter.Seq[batch] {
	return b.groups(func(prev, next int64) bool { return prev/span == next/span })
}

// groups cuts the batch between cells that do not belong together.
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
