//go:build linux

package device

import "crypto/sha256"

const (
	// chunkSize is how much is written at once, in bytes.
	chunkSize = 1 << 20
	pageSize  = 4096
	pages     = chunkSize / pageSize
	// bridge is how many pages in a hole are written as zeros rather than
	// left out: a device takes one long write faster than two short ones.
	bridge = 16
)

// chunk is one MiB of the disk, with what is to be written of it.
type chunk struct {
	index int64
	buf   []byte // of chunkSize bytes, zero where nothing is
	used  pageSet
}

// offset is where the chunk begins on the device.
func (c *chunk) offset() int64 { return c.index * chunkSize }

// reset makes it another, empty chunk.
func (c *chunk) reset(index int64) {
	c.index, c.used = index, pageSet{}
	clear(c.buf)
}

// put copies bytes to a place in the chunk.
func (c *chunk) put(p []byte, at int) {
	copy(c.buf[at:], p)
	for page := at / pageSize; page <= (at+len(p)-1)/pageSize; page++ {
		c.used.add(page)
	}
}

// run is a part of a chunk, in bytes from its beginning.
type run struct{ from, to int }

func (r run) length() int64 { return int64(r.to - r.from) }

// pageSet says which pages of a chunk are written.
type pageSet [pages / 64]uint64

func (s *pageSet) add(page int)      { s[page/64] |= 1 << (page % 64) }
func (s *pageSet) has(page int) bool { return s[page/64]&(1<<(page%64)) != 0 }

// runs are what is written, short holes included, within the first limit
// bytes.
func (s *pageSet) runs(limit int) (list []run) {
	for page := range pages {
		switch last := len(list) - 1; {
		case !s.has(page):
		case last >= 0 && page*pageSize-list[last].to <= bridge*pageSize:
			list[last].to = (page + 1) * pageSize
		default:
			list = append(list, run{page * pageSize, (page + 1) * pageSize})
		}
	}
	if last := len(list) - 1; last >= 0 {
		list[last].to = min(list[last].to, limit)
	}
	return list
}

// record remembers a chunk that was written, so that it can be read back and
// compared without being kept: 80 bytes for each MiB.
type record struct {
	index int64
	used  pageSet
	sum   [sha256.Size]byte
}

// sum is the digest of what is written of a chunk.
func sum(buf []byte, runs []run) (digest [sha256.Size]byte) {
	h := sha256.New()
	for _, r := range runs {
		h.Write(buf[r.from:r.to])
	}
	h.Sum(digest[:0])
	return digest
}
