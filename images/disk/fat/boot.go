package fat

import "encoding/binary"

const (
	mediaFixed      = 0xf8
	infoSector      = 1 // FAT32 only
	backupSector    = 6 // FAT32 only
	extendedBoot    = 0x29
	bootSignature   = 0xaa55
	bootSignatureAt = 510
)

// stopCode is for a BIOS that boots from this partition. It halts: hlt; jmp.
var stopCode = []byte{0xf4, 0xeb, 0xfd}

// bootRecord returns the first sector, with the BIOS parameter block.
func (p *plan) bootRecord() []byte {
	b := make([]byte, p.sector)
	le := binary.LittleEndian
	copy(b[3:], "CLOUDLET")
	le.PutUint16(b[11:], uint16(p.sector))
	b[13] = byte(p.cluster / p.sector)
	le.PutUint16(b[14:], uint16(p.reserved))
	b[16] = tableCount
	b[21] = mediaFixed
	le.PutUint16(b[24:], 63)  // sectors a track, for drivers that ask
	le.PutUint16(b[26:], 255) // heads
	if p.fat32 || p.sectors > 1<<16-1 {
		le.PutUint32(b[32:], uint32(p.sectors))
	} else {
		le.PutUint16(b[19:], uint16(p.sectors))
	}
	if p.fat32 {
		p.extend32(b)
	} else {
		p.extend16(b)
	}
	le.PutUint16(b[bootSignatureAt:], bootSignature)
	return b
}

func (p *plan) extend32(b []byte) {
	le := binary.LittleEndian
	copy(b, []byte{0xeb, 0x58, 0x90})
	le.PutUint32(b[36:], uint32(p.tableSize))
	le.PutUint32(b[44:], p.root.cluster)
	le.PutUint16(b[48:], infoSector)
	le.PutUint16(b[50:], backupSector)
	p.volume(b[64:], "FAT32   ")
	copy(b[90:], stopCode)
}

func (p *plan) extend16(b []byte) {
	le := binary.LittleEndian
	copy(b, []byte{0xeb, 0x3c, 0x90})
	le.PutUint16(b[17:], uint16(p.rootSectors*p.sector/slotSize))
	le.PutUint16(b[22:], uint16(p.tableSize))
	p.volume(b[36:], "FAT16   ")
	copy(b[62:], stopCode)
}

// volume fills in the fields that FAT16 and FAT32 have at different offsets.
func (p *plan) volume(b []byte, kind string) {
	b[0] = 0x80 // BIOS drive number
	b[2] = extendedBoot
	binary.LittleEndian.PutUint32(b[3:], p.opts.Serial)
	copy(b[7:], p.label[:])
	copy(b[18:], kind)
}

// info returns FAT32's FSInfo sector: the number of free clusters and the first
// of them.
func (p *plan) info() []byte {
	b := make([]byte, p.sector)
	le := binary.LittleEndian
	copy(b, "RRaA")
	copy(b[484:], "rrAa")
	le.PutUint32(b[488:], uint32(p.clusters)-p.used)
	le.PutUint32(b[492:], p.nextFree())
	le.PutUint16(b[bootSignatureAt:], bootSignature)
	return b
}

func (p *plan) nextFree() uint32 {
	if int64(p.used) == p.clusters {
		return 1<<32 - 1 // unknown, because no cluster is free
	}
	return firstCluster + p.used
}
