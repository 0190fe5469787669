package vdisk

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"cloudlets/images/disk/guest"
)

// Constants of VMware's "Virtual Disk Format" 5.0, for grains of 64 KiB.
const (
	vmdkGrain       = 64 * kib
	vmdkEntries     = 512                            // of a grain table
	vmdkSpan        = int64(vmdkEntries) * vmdkGrain // of the disk that one grain table maps
	vmdkTable       = vmdkEntries * 4                // bytes of a grain table
	vmdkDescriptor  = 20 * sector                    // room for the descriptor
	vmdkAtEnd       = math.MaxUint64                 // the footer contains the offset of the grain directory
	vmdkFlagNewline = 1 << 0                         // the newline test is valid
	vmdkFlagSpare   = 1 << 1                         // there is a second grain directory
	vmdkFlagPacked  = 1 << 16                        // grains are compressed
	vmdkFlagMarkers = 1 << 17                        // markers tell what follows
)

// vmdkHeader begins a sparse extent. Offsets and sizes are in sectors.
type vmdkHeader struct {
	Magic, Version, Flags               uint32
	Capacity, GrainSize                 uint64
	DescriptorOffset, DescriptorSize    uint64
	TableEntries                        uint32
	SpareDirectory, Directory, Overhead uint64
	Unclean                             uint8
	Newlines                            [4]byte // a transfer as text would change them
	Compression                         uint16
	_                                   [433]byte
}

func newVMDKHeader(size int64) vmdkHeader {
	return vmdkHeader{
		Magic: 'K' | 'D'<<8 | 'M'<<16 | 'V'<<24, Version: 1, Flags: vmdkFlagNewline,
		Capacity: uint64(size / sector), GrainSize: vmdkGrain / sector,
		DescriptorOffset: 1, DescriptorSize: vmdkDescriptor / sector,
		TableEntries: vmdkEntries,
		Newlines:     [4]byte{'\n', ' ', '\r', '\n'},
	}
}

// bytes returns the header's sector.
func (h vmdkHeader) bytes() []byte {
	return encode(binary.LittleEndian, h)
}

// vmdkText returns the descriptor that is embedded in both kinds, padded to the room
// reserved for it.
func vmdkText(kind string, size int64, id [16]byte) []byte {
	var b strings.Builder
	cylinders, heads, sectors := vmdkGeometry(size)
	fmt.Fprintf(&b, "# Disk DescriptorFile\nversion=1\nCID=%s\nparentCID=ffffffff\ncreateType=%q\n\n",
		vmdkCID(id), kind)
	fmt.Fprintf(&b, "# Extent description\nRW %d SPARSE \"disk.vmdk\"\n\n", size/sector)
	fmt.Fprintf(&b, "# The Disk Data Base\n#DDB\n\nddb.adapterType = \"lsilogic\"\n")
	fmt.Fprintf(&b, "ddb.geometry.cylinders = \"%d\"\nddb.geometry.heads = \"%d\"\nddb.geometry.sectors = \"%d\"\n",
		cylinders, heads, sectors)
	fmt.Fprintf(&b, "ddb.longContentID = \"%x\"\nddb.virtualHWVersion = \"%d\"\n", id, guest.VMwareHardware)
	return append([]byte(b.String()), make([]byte, vmdkDescriptor-b.Len())...)
}

// vmdkCID returns the content identifier, which is the end of the long one. It must not
// be all ones, because that means "no parent".
func vmdkCID(id [16]byte) string {
	cid := hex.EncodeToString(id[12:])
	if cid == "ffffffff" {
		return "fffffffd"
	}
	return cid
}

// vmdkGeometry returns the geometry that VMware's BIOS gives a SCSI disk.
func vmdkGeometry(size int64) (cylinders, heads, sectors int64) {
	switch {
	case size < gib:
		heads, sectors = 64, 32
	case size < 2*gib:
		heads, sectors = 128, 32
	default:
		heads, sectors = 255, 63
	}
	return max(1, size/sector/(heads*sectors)), heads, sectors
}

// vmdkSector converts an offset, a multiple of a sector, to a table's sector number.
func vmdkSector(at int64) (uint32, error) {
	if at/sector > math.MaxUint32 {
		return 0, fmt.Errorf("the file would be larger than %d bytes, which is the limit of its tables: make the disk smaller", int64(math.MaxUint32)*sector)
	}
	return uint32(at / sector), nil
}
