package ext4

// The index of a large directory is a tree over the hashes of its names. Its
// leaves are ordinary directory blocks.
const (
	// The root follows on "." and "..", the inner nodes on one empty entry
	// that covers them; both leave eight bytes for their checksum.
	rootEntries = dots + 8
	nodeEntries = 8
	rootFanout  = (blockSize - rootEntries - 8) / 8
	nodeFanout  = (blockSize - nodeEntries - 8) / 8
)

// indexEntry names the block that holds the names with hashes from hash on.
type indexEntry struct{ hash, block uint32 }

// writeIndexed emits the root, the inner nodes if there are any, the leaves.
func (d *directory) writeIndexed(seed [16]byte, crc uint32, emit func([]byte) error) error {
	list := d.entries()
	hashAll(seed, list)
	parts := leaves(list)
	index := leafIndex(parts, 1+d.nodes())
	if err := d.writeIndex(index, int(d.nodes()), crc, emit); err != nil {
		return err
	}
	buf := make([]byte, blockSize)
	for _, part := range parts {
		b := newDirBlock(buf)
		for _, e := range part {
			b.add(e)
		}
		b.finish(crc)
		if err := emit(buf); err != nil {
			return err
		}
	}
	return nil
}

// leafIndex returns the first hash of each leaf. The lowest bit is set if the leaf
// before also has names with that hash.
func leafIndex(parts [][]dirent, first uint32) []indexEntry {
	index := make([]indexEntry, len(parts))
	for i, part := range parts {
		index[i] = indexEntry{part[0].hash.major, first + uint32(i)}
		if i == 0 {
			continue
		}
		before := parts[i-1]
		if before[len(before)-1].hash.major == part[0].hash.major {
			index[i].hash |= 1
		}
	}
	return index
}

func (d *directory) writeIndex(index []indexEntry, nodes int, crc uint32, emit func([]byte) error) error {
	root := index
	if nodes > 0 {
		root = make([]indexEntry, nodes)
		for i := range root {
			root[i] = indexEntry{index[i*nodeFanout].hash, uint32(1 + i)}
		}
	}
	if err := emit(d.indexRoot(root, nodes > 0, crc)); err != nil {
		return err
	}
	for i := range nodes {
		part := index[i*nodeFanout : min((i+1)*nodeFanout, len(index))]
		if err := emit(indexNode(part, crc)); err != nil {
			return err
		}
	}
	return nil
}

// indexRoot is a directory's first block: "." and "..", of which the latter
// covers the index, so that it looks like an ordinary one.
func (d *directory) indexRoot(entries []indexEntry, deep bool, crc uint32) []byte {
	r := make(record, blockSize)
	b := &dirBlock{buf: r}
	b.add(dot(".", d.ino))
	b.add(dot("..", d.parent))
	r.put16(12+4, blockSize-12)
	r.put8(dots+4, hashHalfMD4)
	r.put8(dots+5, 8) // the length of this very piece
	if deep {
		r.put8(dots+6, 1)
	}
	putIndex(r, rootEntries, rootFanout, entries, crc)
	return r
}

func indexNode(entries []indexEntry, crc uint32) []byte {
	r := make(record, blockSize)
	r.put16(4, blockSize)
	putIndex(r, nodeEntries, nodeFanout, entries, crc)
	return r
}

// putIndex writes the entries of a node and its checksum. The first entry has the
// limit and count in place of its hash. The checksum covers the used entries.
func putIndex(r record, off, limit int, entries []indexEntry, crc uint32) {
	for i, e := range entries {
		r.put32(off+8*i, e.hash)
		r.put32(off+8*i+4, e.block)
	}
	r.put16(off, uint16(limit))
	r.put16(off+2, uint16(len(entries)))
	crc = checksum(crc, r[:off+8*len(entries)])
	crc = checksum(crc, make([]byte, 8)) // the tail, its checksum being zero
	r.put32(blockSize-4, crc)
}
