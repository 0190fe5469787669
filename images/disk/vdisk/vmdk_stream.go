package vdisk

import (
	"encoding/binary"
	"io"

	"cloudlets/images/disk/press"
)

// Types of the data that follows a marker.
const (
	vmdkEndOfStream = iota
	vmdkGrainTable
	vmdkGrainDirectory
	vmdkFooter
)

// vmdkMarker is a sector that says what follows it. A grain has a shorter marker.
type vmdkMarker struct {
	Sectors uint64
	Size    uint32 // 0: this is not a grain
	Kind    uint32
	_       [496]byte
}

// vmdkStream writes a streamOptimized extent from beginning to end: header and
// descriptor, compressed grains with each grain table after its grains, the grain
// directory, and a footer with the offset of the grain directory.
type vmdkStream struct {
	out    io.Writer
	size   int64
	id     [16]byte
	header vmdkHeader
	press  *press.Press

	pos       int64 // number of bytes written
	directory []uint32
	entries   []uint32
	table     int64  // the index of the current grain table, -1 at first
	pending   []byte // grains not yet written
	stored    int64  // bytes of the disk that are not holes
}

func newVMDKStream(t target, o Options) (container, error) {
	return openVMDKStream(t.stream(), t.size, o)
}

func openVMDKStream(out io.Writer, size int64, o Options) (*vmdkStream, error) {
	grains, err := press.New(o.workers(), press.Zlib)
	if err != nil {
		return nil, err
	}
	v := &vmdkStream{
		out: out, size: size, id: o.ID, header: newVMDKHeader(size), press: grains,
		directory: make([]uint32, pieces(size, vmdkSpan)),
		entries:   make([]uint32, vmdkEntries), table: -1,
	}
	v.header.Version = 3
	v.header.Flags |= vmdkFlagPacked | vmdkFlagMarkers
	v.header.Compression = 1 // deflate
	v.header.Overhead = vmdkGrain / sector
	v.header.Directory = vmdkAtEnd
	return v, nil
}

// write writes data padded to whole sectors.
func (v *vmdkStream) write(data []byte) error {
	data = append(data, make([]byte, roundUp(int64(len(data)), sector)-int64(len(data)))...)
	v.pos += int64(len(data))
	_, err := v.out.Write(data)
	return err
}

// begin writes the parts before the first grain, unless they are written already.
func (v *vmdkStream) begin() error {
	if v.pos > 0 {
		return nil
	}
	head := append(v.header.bytes(), vmdkText("streamOptimized", v.size, v.id)...)
	return v.write(append(head, make([]byte, vmdkGrain-len(head))...))
}

func (v *vmdkStream) put(b batch) error {
	if err := v.begin(); err != nil {
		return err
	}
	v.stored += int64(len(b.data))
	for part := range b.within(vmdkSpan) {
		if err := v.choose(part.offs[0] / vmdkSpan); err != nil {
			return err
		}
		if err := v.store(part); err != nil {
			return err
		}
	}
	return nil
}

// store writes grains. Each has its marker before it and begins at a sector.
func (v *vmdkStream) store(b batch) error {
	packed, err := v.press.All(len(b.offs), b.at)
	if err != nil {
		return err
	}
	v.pending = v.pending[:0]
	for i, off := range b.offs {
		entry := &v.entries[off%vmdkSpan/vmdkGrain]
		if *entry, err = vmdkSector(v.pos + int64(len(v.pending))); err != nil {
			return err
		}
		v.pending = binary.LittleEndian.AppendUint64(v.pending, uint64(off/sector))
		v.pending = binary.LittleEndian.AppendUint32(v.pending, uint32(len(packed[i])))
		v.pending = append(v.pending, packed[i]...)
		v.pending = append(v.pending, make([]byte, roundUp(int64(len(v.pending)), sector)-int64(len(v.pending)))...)
	}
	return v.write(v.pending)
}

// choose stores the current grain table and makes table the current one.
func (v *vmdkStream) choose(table int64) error {
	if table == v.table {
		return nil
	}
	err := v.storeTable()
	v.table = table
	return err
}

// storeTable writes the current grain table, if there is one.
func (v *vmdkStream) storeTable() error {
	if v.table < 0 {
		return nil
	}
	at, err := v.storeMarked(vmdkGrainTable, encode(binary.LittleEndian, v.entries))
	v.directory[v.table] = at
	clear(v.entries)
	return err
}

// storeMarked writes a marker and its data, and returns the data's sector.
func (v *vmdkStream) storeMarked(kind uint32, data []byte) (uint32, error) {
	at, err := vmdkSector(v.pos + sector)
	if err != nil {
		return 0, err
	}
	marker := vmdkMarker{Sectors: uint64(pieces(int64(len(data)), sector)), Kind: kind}
	return at, v.write(append(encode(binary.LittleEndian, marker), data...))
}

func (v *vmdkStream) finish() error {
	if err := v.begin(); err != nil {
		return err
	}
	if err := v.storeTable(); err != nil {
		return err
	}
	at, err := v.storeMarked(vmdkGrainDirectory, encode(binary.LittleEndian, v.directory))
	if err != nil {
		return err
	}
	footer := v.header
	footer.Directory = uint64(at)
	if _, err := v.storeMarked(vmdkFooter, footer.bytes()); err != nil {
		return err
	}
	return v.write(encode(binary.LittleEndian, vmdkMarker{Kind: vmdkEndOfStream}))
}
