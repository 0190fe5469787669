package vdisk

import (
	"encoding/binary"
	"fmt"

	"cloudlets/images/disk/press"
)

// Constants of QEMU's docs/interop/qcow2.txt, which is the specification, for clusters
// of 64 KiB.
const (
	qcow2Bits    = 16
	qcow2Cluster = 1 << qcow2Bits
	qcow2Entries = qcow2Cluster / 8                   // of a table
	qcow2Span    = int64(qcow2Entries) * qcow2Cluster // of the disk that one L2 table maps
	qcow2Refs    = qcow2Cluster / 2                   // counters in a refcount block
	qcow2Copied  = 1 << 63                            // the refcount is exactly one
	qcow2Packed  = 1 << 62                            // the cluster is compressed
	qcow2Sectors = 62 - (qcow2Bits - 8)               // bit where a packed cluster's sector count begins
)

// qcow2 writes a qcow2 file of version 3. It consists of the header, the L1 table, the
// clusters and the L2 tables that map them, and the reference counts. Clusters and L2
// tables are in the order in which they become known. The header is written last.
type qcow2 struct {
	file        File
	size        int64
	compression Compression
	press       *press.Press // nil for no compression

	next  int64    // offset in the file of the next table or cluster
	refs  []uint16 // of each cluster of the file
	l1    []uint64
	l2    []uint64 // the current L2 table
	table int64    // its index, -1 at first

	pending []byte // compressed clusters not yet written
	from    int64  // their offset in the file
}

func newQcow2(t target, o Options) (container, error) {
	file, err := t.file()
	if err != nil {
		return nil, err
	}
	press, err := qcow2Press(o)
	if err != nil {
		return nil, err
	}
	q := &qcow2{
		file: file, size: t.size, compression: o.Compression, press: press,
		l1:    make([]uint64, pieces(t.size, qcow2Span)),
		l2:    make([]uint64, qcow2Entries),
		table: -1,
	}
	q.claim(qcow2Cluster)
	q.claim(roundUp(int64(len(q.l1))*8, qcow2Cluster))
	return q, nil
}

func qcow2Press(o Options) (*press.Press, error) {
	switch o.Compression {
	case Uncompressed:
		return nil, nil
	case Zlib:
		return press.New(o.workers(), press.Short)
	case Zstd:
		return press.New(o.workers(), func() (press.Encoder, error) { return press.Zstd(qcow2Cluster) })
	}
	return nil, fmt.Errorf("unknown compression %q: choose %s, %s or none", o.Compression, Zlib, Zstd)
}

// claim allocates the next n bytes of the file, and counts a reference to each cluster
// that they touch.
func (q *qcow2) claim(n int64) (at int64) {
	at = q.next
	q.next += n
	for c := at / qcow2Cluster; c <= (q.next-1)/qcow2Cluster; c++ {
		if c == int64(len(q.refs)) {
			q.refs = append(q.refs, 0)
		}
		q.refs[c]++
	}
	return at
}

func (q *qcow2) put(b batch) error {
	for part := range b.within(qcow2Span) {
		if err := q.choose(part.offs[0] / qcow2Span); err != nil {
			return err
		}
		store := q.store
		if q.press != nil {
			store = q.pack
		}
		if err := store(part); err != nil {
			return err
		}
	}
	return nil
}

// choose stores the current L2 table and makes table the current one.
func (q *qcow2) choose(table int64) error {
	if table == q.table {
		return nil
	}
	err := q.storeL2()
	q.table = table
	return err
}

// storeL2 writes the current L2 table, if there is one.
func (q *qcow2) storeL2() error {
	if q.table < 0 {
		return nil
	}
	q.next = roundUp(q.next, qcow2Cluster)
	at := q.claim(qcow2Cluster)
	q.l1[q.table] = uint64(at) | qcow2Copied
	err := q.writeTable(q.l2, at)
	clear(q.l2)
	return err
}

// store writes clusters uncompressed, one after the other.
func (q *qcow2) store(b batch) error {
	at := q.claim(int64(len(b.data)))
	for i, off := range b.offs {
		q.l2[off%qcow2Span/qcow2Cluster] = uint64(at+int64(i)*qcow2Cluster) | qcow2Copied
	}
	_, err := q.file.WriteAt(b.data, at)
	return err
}

// pack writes compressed clusters without room between them. Clusters that do not
// become smaller are written uncompressed.
func (q *qcow2) pack(b batch) error {
	packed, err := q.press.All(len(b.offs), b.at)
	if err != nil {
		return err
	}
	q.pending, q.from = q.pending[:0], q.next
	for i, off := range b.offs {
		entry := &q.l2[off%qcow2Span/qcow2Cluster]
		if len(packed[i]) < qcow2Cluster {
			*entry = qcow2PackedEntry(q.queue(packed[i]), int64(len(packed[i])))
			continue
		}
		q.next = roundUp(q.next, qcow2Cluster)
		*entry = uint64(q.queue(b.at(i))) | qcow2Copied
	}
	_, err = q.file.WriteAt(q.pending, q.from)
	return err
}

// queue appends data to the pending bytes, with zeros for any gap before it, and returns
// its offset in the file.
func (q *qcow2) queue(data []byte) (at int64) {
	at = q.claim(int64(len(data)))
	gap := at - q.from - int64(len(q.pending))
	q.pending = append(q.pending, make([]byte, gap)...)
	q.pending = append(q.pending, data...)
	return at
}

// qcow2PackedEntry returns the L2 entry of a compressed cluster of size bytes. It
// contains the number of sectors that the cluster touches after its first one.
func qcow2PackedEntry(at, size int64) uint64 {
	more := (at+size-1)/sector - at/sector
	return qcow2Packed | uint64(more)<<qcow2Sectors | uint64(at)
}

func (q *qcow2) finish() error {
	if err := q.storeL2(); err != nil {
		return err
	}
	if err := q.writeTable(q.l1, qcow2Cluster); err != nil {
		return err
	}
	q.next = roundUp(q.next, qcow2Cluster)
	refTable, refClusters, err := q.storeRefs()
	if err != nil {
		return err
	}
	if err := q.file.Truncate(q.next); err != nil {
		return err
	}
	return q.writeTable(q.header(refTable, refClusters), 0)
}

// storeRefs writes the blocks of reference counts, which include references to these
// blocks, and the table with their offsets.
func (q *qcow2) storeRefs() (table int64, clusters uint32, err error) {
	used := q.next / qcow2Cluster
	blocks, tables := int64(0), int64(0)
	for blocks*qcow2Refs < used+blocks+tables {
		blocks++
		tables = pieces(blocks*8, qcow2Cluster)
	}
	at := q.claim(blocks * qcow2Cluster)
	table = q.claim(tables * qcow2Cluster)
	offsets := make([]uint64, blocks)
	for i := range offsets {
		offsets[i] = uint64(at) + uint64(i)*qcow2Cluster
	}
	if err := q.writeTable(q.refs, at); err != nil {
		return 0, 0, err
	}
	return table, uint32(tables), q.writeTable(offsets, table)
}

// writeTable writes a structure or a slice of numbers.
func (q *qcow2) writeTable(table any, at int64) error {
	_, err := q.file.WriteAt(encode(binary.BigEndian, table), at)
	return err
}

// qcow2Header is the header with its only extension, which marks the end of extensions.
type qcow2Header struct {
	Magic, Version                    uint32
	BackingOffset                     uint64
	BackingSize, ClusterBits          uint32
	Size                              uint64
	Crypt, L1Size                     uint32
	L1Offset, RefTableOffset          uint64
	RefTableClusters, Snapshots       uint32
	SnapshotsOffset                   uint64
	Incompatible, Compatible, Ignored uint64
	RefcountOrder, HeaderLength       uint32
	CompressionType                   uint8
	_                                 [7]byte
	_                                 [8]byte
}

func (q *qcow2) header(refTable int64, refClusters uint32) qcow2Header {
	h := qcow2Header{
		Magic: 'Q'<<24 | 'F'<<16 | 'I'<<8 | 0xfb, Version: 3,
		ClusterBits: qcow2Bits, Size: uint64(q.size),
		L1Size: uint32(len(q.l1)), L1Offset: qcow2Cluster,
		RefTableOffset: uint64(refTable), RefTableClusters: refClusters,
		RefcountOrder: 4, HeaderLength: 112,
	}
	if q.compression == Zstd {
		h.Incompatible = 1 << 3 // "the compression type is not zlib"
		h.CompressionType = 1
	}
	return h
}
