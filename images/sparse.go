package images

// Extent is a part of a file, in bytes.
type Extent struct{ Offset, Size int64 }

// Sparse is an optional interface of the content that a [VisitFunc] gets, if the
// file may have holes. It must be used before anything is read.
type Sparse interface {
	// Data lists the parts of the file that are not holes, in ascending order. It
	// is nil if there are no holes, or if nothing is known about them.
	Data() ([]Extent, error)
	// Skip passes over the next n bytes, which must be in a hole.
	Skip(n int64) error
}
