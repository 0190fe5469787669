package tarball

import (
	"iter"

	"cloudlets/images/filelist"
)

// index lists the files that a tarball leaves when it is extracted.
type index struct {
	*filelist.List // a file's At is where in the archive its header begins
	// order is that of a walk through the archive; nil is that of the numbers.
	order []uint32
	// canonical sorts all files, when it is first called.
	canonical func() *filelist.Order
	// manifest is the content of the file at [images.ManifestPath]. It is nil
	// if there is none, if it is not a regular file, or if it is too long.
	manifest []byte
}

// walk lists all files in the order of the archive, each directory before what
// is in it.
func (x *index) walk() iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		count := x.Len()
		if x.order != nil {
			count = len(x.order)
		}
		for n := range count {
			i := uint32(n)
			if x.order != nil {
				i = x.order[n]
			}
			if !yield(i) {
				return
			}
		}
	}
}
