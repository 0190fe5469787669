package vdisk

import "encoding/binary"

// vhdxItems is the offset of the items' values in the metadata region.
const vhdxItems = 64 * kib

// Flags of a metadata item.
const (
	vhdxOfDisk   = 1 << 1 // it describes the disk, not the file
	vhdxRequired = 1 << 2 // a reader must understand it
)

// vhdxItem says where an item's value lies.
type vhdxItem struct {
	Kind                  [16]byte
	Offset, Length, Flags uint32
	_                     uint32
}

// metadata returns the metadata region: a table followed by the values.
func (v *vhdx) metadata() []byte {
	type parameters struct{ BlockSize, Flags uint32 }
	values := []struct {
		kind  string
		value any
		flags uint32
	}{
		{"caa16737-fa36-4d43-b3b6-33f0aa44e76b", parameters{BlockSize: uint32(v.size)}, vhdxRequired},
		{"2fa54224-cd1b-4876-b211-5dbed83bf4b8", uint64(v.disk), vhdxOfDisk | vhdxRequired},
		{"beca12ab-b2e6-4523-93ef-c309e000c746", mixed(v.id), vhdxOfDisk | vhdxRequired},    // SCSI page 83
		{"8141bf1d-a96f-4709-ba47-f233a8faab5f", uint32(sector), vhdxOfDisk | vhdxRequired}, // logical
		{"cda348c7-445d-4471-9cc9-e9885251c556", uint32(4096), vhdxOfDisk | vhdxRequired},   // physical
	}
	region := make([]byte, vhdxItems, vhdxItems+kib)
	table := struct {
		Signature [8]byte
		_, Count  uint16
		_         [20]byte
		Items     [5]vhdxItem
	}{Signature: [8]byte{'m', 'e', 't', 'a', 'd', 'a', 't', 'a'}, Count: uint16(len(values))}
	for i, item := range values {
		data := encode(binary.LittleEndian, item.value)
		table.Items[i] = vhdxItem{Kind: guid(item.kind), Offset: uint32(len(region)), Length: uint32(len(data)), Flags: item.flags}
		region = append(region, data...)
	}
	copy(region, encode(binary.LittleEndian, table))
	return region
}
