//go:build linux

package pack

import "hash/maphash"

// Sums are fast checksums of what [Extract] wrote, 8 bytes for each chunk. They
// are computed after the digest was checked, on the way to the disk. With them
// [Verify], in the same process, finds what a disk did not keep. On a processor
// without SHA-256 instructions this costs a fraction of computing digests. The
// zero value is ready for one Extract and then for any number of Verify calls.
type Sums struct {
	toc  *TOC
	seed maphash.Seed
	// chunk has the sum of each of toc's chunks. 0 means that the sum is
	// unknown; then Verify uses the digest.
	chunk []uint64
}

// begin makes room for the chunks of a pack. A nil Sums does nothing.
func (s *Sums) begin(toc *TOC) {
	if s != nil {
		*s = Sums{toc: toc, seed: maphash.MakeSeed(), chunk: make([]uint64, len(toc.chunks))}
	}
}

// keep records the sum of chunk i. Several goroutines may record different
// chunks.
func (s *Sums) keep(i int32, data []byte) {
	if s != nil {
		s.chunk[i] = maphash.Bytes(s.seed, data)
	}
}

// same reports whether data equals what was written as chunk i of a pack.
func (s *Sums) same(toc *TOC, i int32, data []byte) bool {
	if s != nil && s.toc == toc && s.chunk[i] != 0 {
		return s.chunk[i] == maphash.Bytes(s.seed, data)
	}
	return sumOf(data) == toc.chunks[i].digest
}
