//go:build linux

package device

import "crypto/sha256"

const (
	// chunkSize is the size of a chunk in bytes.
	chunkSize = 1 << 20
	pageSize  = 4096
	pages     = chunkSize / pageSize
	// bridge is the largest hole in pages that is written as zeros instead of being
	// left out. One long write is faster than two short ones.
	bridge = 16
)

// chunk is one MiB of the disk, of which some pages are to be written.
type chunk struct {
	index int64
	buf   []byte // of chunkSize bytes; zero where nothing was put
	used  pageSet
}

// offset is the chunk's offset on the device in bytes.
func (c *chunk) offset() int64 { return c.index * chunkSize }

// reset empties the chunk for reuse with another index.
func (c *chunk) reset(index int64) {
	c.index, c.used = index, pageSet{}
	clear(c.buf)
}

// put copies bytes to an offset in the chunk.
func (c *chunk) put(p []byte, at int) {
	copy(c.buf[at:], p)
	for page := at / pageSize; page <= (at+len(p)-1)/pageSize; page++ {
		c.used.add(page)
	}
}

// run is a part of a chunk, in bytes from its beginning.
type run struct{ from, to int }

func (r run) length() int64 { return int64(r.to - r.from) }

// pageSet is the set of a chunk's pages that are to be written.
type pageSet [pages / 64]uint64

func (s *pageSet) add(page int)      { s[page/64] |= 1 << (page % 64) }
func (s *pageSet) has(page int) bool { return s[page/64]&(1<<(page%64)) != 0 }

// runs returns the parts to be written within the first limit bytes. They include
// short holes.
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

// writtenChunk remembers which parts of a chunk were written and their digest, so
// that the chunk can be verified without being kept. It takes 72 bytes per MiB.
type writtenChunk struct {
	index int64
	used  pageSet
	sum   [sha256.Size]byte
}

// sum returns the digest of a chunk's written parts.
func sum(buf []byte, runs []run) (digest [sha256.Size]byte) {
	h := sha256.New()
	for _, r := range runs {
		h.Write(buf[r.from:r.to])
	}
	h.Sum(digest[:0])
	return digest
}
