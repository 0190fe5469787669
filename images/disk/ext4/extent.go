package ext4

import "math"

// extent is a part of a file that lies in consecutive blocks.
type extent struct {
	logical, count int64
	start          int64
}

const (
	extentMagic  = 0xf30a
	extentSize   = 12 // of an entry, of the header too
	rootExtents  = 4  // that fit in the inode
	blockExtents = (blockSize - extentSize) / extentSize
	maxExtent    = 32768 // blocks; more would mean "not initialised"
)

// mapping says where a file's data lies, and holds the extent tree for it.
type mapping struct {
	extents []extent
	data    int64 // blocks of data
	// levels holds the tree's nodes outside of the inode, leaves first.
	levels [][]node
	next   int64 // the block after the last of all
}

// node is a block of an extent tree; it covers extents or nodes of the level
// below, from first to end.
type node struct {
	at         int64
	first, end int
	logical    int64
}

// nodes counts the blocks of the tree.
func (m *mapping) nodes() (n int64) {
	for _, level := range m.levels {
		n += int64(len(level))
	}
	return n
}

// mapFile allocates the blocks of a file's data from start on, and then those of
// its tree. The same arguments give the same mapping, so mappings need not be
// kept.
func (g *geometry) mapFile(start int64, data []segment) mapping {
	m := mapping{next: start}
	for _, s := range data {
		logical := s.logical
		m.next = g.take(m.next, s.count, func(r run) {
			m.add(logical, r)
			logical += r.count
		})
		m.data += s.count
	}
	if len(m.extents) > rootExtents {
		m.grow(g)
	}
	return m
}

// add appends a run of blocks, or lengthens the last extent by it.
func (m *mapping) add(logical int64, r run) {
	for r.count > 0 {
		if last := len(m.extents) - 1; last >= 0 {
			e := &m.extents[last]
			if e.start+e.count == r.start && e.logical+e.count == logical && e.count < maxExtent {
				n := min(r.count, maxExtent-e.count)
				e.count += n
				logical, r = logical+n, run{r.start + n, r.count - n}
				continue
			}
		}
		n := min(r.count, maxExtent)
		m.extents = append(m.extents, extent{logical, n, r.start})
		logical, r = logical+n, run{r.start + n, r.count - n}
	}
}

// grow adds levels to the tree until the top level fits into the inode.
func (m *mapping) grow(g *geometry) {
	below := len(m.extents)
	first := func(i int) int64 { return m.extents[i].logical }
	for below > rootExtents {
		var level []node
		for i := 0; i < below; i += blockExtents {
			level = append(level, node{first: i, end: min(i+blockExtents, below), logical: first(i)})
		}
		i := 0
		m.next = g.take(m.next, int64(len(level)), func(r run) {
			for b := range r.count {
				level[i].at = r.start + b
				i++
			}
		})
		m.levels = append(m.levels, level)
		below = len(level)
		first = func(i int) int64 { return level[i].logical }
	}
}

// root returns the part of the tree that the inode holds.
func (m *mapping) root() (r [60]byte) {
	depth := len(m.levels)
	if depth == 0 {
		m.put(r[:], 0, 0, len(m.extents), rootExtents)
		return r
	}
	m.put(r[:], depth, 0, len(m.levels[depth-1]), rootExtents)
	return r
}

// block returns a node outside of the inode, with its checksum.
func (m *mapping) block(depth int, n node, crc uint32) []byte {
	r := make(record, blockSize)
	m.put(r, depth, n.first, n.end, blockExtents)
	const tail = extentSize + blockExtents*extentSize
	r.put32(tail, checksum(crc, r[:tail]))
	return r
}

// put encodes a node, with the entries from first to end of the level below it.
func (m *mapping) put(r record, depth, first, end, limit int) {
	r.put16(0, extentMagic)
	r.put16(2, uint16(end-first))
	r.put16(4, uint16(limit))
	r.put16(6, uint16(depth))
	for i := first; i < end; i++ {
		off := extentSize * (1 + i - first)
		if depth > 0 {
			n := m.levels[depth-1][i]
			r.put32(off, uint32(n.logical))
			r.put32(off+4, uint32(n.at))
			r.put16(off+8, uint16(n.at>>32&math.MaxUint16))
			continue
		}
		e := m.extents[i]
		r.put32(off, uint32(e.logical))
		r.put16(off+4, uint16(e.count))
		r.put16(off+6, uint16(e.start>>32))
		r.put32(off+8, uint32(e.start))
	}
}
