//go:build linux

package pack

import "hash/maphash"

// Sums are fast checksums of what [Extract] wrote, 8 bytes for each chunk:
// taken of bytes whose digest was right, on their way to the disk. With them
// [Verify] tells, in the same process, what a disk did not keep at a fraction
// of what digests cost on a processor without instructions for SHA-256. The
// zero value is ready for one Extract, and then for any number of Verify.
type Sums struct {
	toc  *TOC
	seed maphash.Seed
	// chunk has the sum of each of toc's chunks; 0 is not known, and then the
	// digest decides.
	chunk []uint64
}

// begin makes room for the chunks of a pack. A nil Sums keeps nothing.
func (s *Sums) begin(toc *TOC) {
	if s != nil {
		*s = Sums{toc: toc, seed: maphash.MakeSeed(), chunk: make([]uint64, len(toc.chunks))}
	}
}

// keep remembers chunk i. Several goroutines may keep different chunks.
func (s *Sums) keep(i int32, data []byte) {
	if s != nil {
		s.chunk[i] = maphash.Bytes(s.seed, data)
	}
}

// same says whether data is what was written as chunk i of a pack.
func (s *Sums) same(toc *TOC, i int32, data []byte) bool {
	if s != nil && s.toc == toc && s.chunk[i] != 0 {
		return s.chunk[i] == maphash.Bytes(s.seed, data)
	}
	return sumOf(data) == toc.chunks[i].digest
}
