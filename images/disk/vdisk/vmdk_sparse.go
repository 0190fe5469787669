package vdisk

import "encoding/binary"

// vmdkSparse writes a monolithicSparse extent: header, descriptor, two copies
// of the grain directory and of all grain tables, then the grains. The header
// is written last.
type vmdkSparse struct {
	file   File
	header vmdkHeader
	text   []byte
	count  int64 // number of grain tables
	first  int64 // offset of the first grain

	next    int64 // offset of the next grain
	entries []uint32
	table   int64 // the index of the current grain table, -1 at first
}

func newVMDKSparse(t target, o Options) (container, error) {
	file, err := t.file()
	if err != nil {
		return nil, err
	}
	v := &vmdkSparse{
		file: file, header: newVMDKHeader(t.size), text: vmdkText("monolithicSparse", t.size, o.ID),
		count:   pieces(t.size, vmdkSpan),
		entries: make([]uint32, vmdkEntries), table: -1,
	}
	spare := int64(sector + vmdkDescriptor)
	v.first = roundUp(spare+2*v.mapSize(), vmdkGrain)
	v.next = v.first
	v.header.Flags |= vmdkFlagSpare
	v.header.SpareDirectory = uint64(spare / sector)
	v.header.Directory = uint64((spare + v.mapSize()) / sector)
	v.header.Overhead = uint64(v.first / sector)
	return v, nil
}

// directorySize is the size of a grain directory in bytes.
func (v *vmdkSparse) directorySize() int64 {
	return roundUp(v.count*4, sector)
}

// mapSize is the size of a grain directory with its tables in bytes.
func (v *vmdkSparse) mapSize() int64 {
	return v.directorySize() + v.count*vmdkTable
}

func (v *vmdkSparse) put(b batch) error {
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

func (v *vmdkSparse) store(b batch) error {
	for i, off := range b.offs {
		at, err := vmdkSector(v.next + int64(i)*vmdkGrain)
		if err != nil {
			return err
		}
		v.entries[off%vmdkSpan/vmdkGrain] = at
	}
	_, err := v.file.WriteAt(b.data, v.next)
	v.next += int64(len(b.data))
	return err
}

// choose stores the current grain table and makes table the current one.
func (v *vmdkSparse) choose(table int64) error {
	if table == v.table {
		return nil
	}
	err := v.storeTable()
	v.table = table
	return err
}

// storeTable writes both copies of the current grain table, if there is one.
func (v *vmdkSparse) storeTable() error {
	if v.table < 0 {
		return nil
	}
	data := encode(binary.LittleEndian, v.entries)
	clear(v.entries)
	for _, directory := range v.directories() {
		at := directory + v.directorySize() + v.table*vmdkTable
		if _, err := v.file.WriteAt(data, at); err != nil {
			return err
		}
	}
	return nil
}

// directories returns the offsets of the grain directories.
func (v *vmdkSparse) directories() [2]int64 {
	return [2]int64{int64(v.header.SpareDirectory) * sector, int64(v.header.Directory) * sector}
}

func (v *vmdkSparse) finish() error {
	if err := v.storeTable(); err != nil {
		return err
	}
	for _, directory := range v.directories() {
		tables := make([]uint32, v.count)
		for i := range tables {
			tables[i] = uint32((directory + v.directorySize() + int64(i)*vmdkTable) / sector)
		}
		if _, err := v.file.WriteAt(encode(binary.LittleEndian, tables), directory); err != nil {
			return err
		}
	}
	if err := v.file.Truncate(v.next); err != nil {
		return err
	}
	_, err := v.file.WriteAt(append(v.header.bytes(), v.text...), 0)
	return err
}
