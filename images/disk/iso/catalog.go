package iso

import "encoding/binary"

// Values in the boot catalog (El Torito 1.0, section 2).
const (
	entrySize   = 32
	platformPC  = 0x00
	platformEFI = 0xef
	bootable    = 0x88
	lastHeader  = 0x91
	// bootSectors is how many sectors of 512 bytes a BIOS reads. They contain
	// GRUB's first code, which reads the rest.
	bootSectors = 4
	// toTheEnd makes UEFI use everything up to the end of the medium as the
	// partition. It is for a partition whose length does not fit into 16 bits.
	toTheEnd = 0
)

// putCatalog makes the boot catalog with an entry for BIOS, if GRUB is in the
// image, and an entry for UEFI.
func (m *Image) putCatalog(b []byte) {
	esp, _ := m.find(m.opts.ESP)
	core, bios := m.find(grubImage)
	if !bios {
		putValidation(b, platformEFI)
		putBoot(b[entrySize:], espSectors(esp.Size), esp.offset)
		return
	}
	putValidation(b, platformPC)
	putBoot(b[entrySize:], bootSectors, core.offset)
	section := b[2*entrySize:]
	section[0], section[1] = lastHeader, platformEFI
	binary.LittleEndian.PutUint16(section[2:], 1) // entry follows
	putBoot(b[3*entrySize:], espSectors(esp.Size), esp.offset)
}

// putValidation makes the first entry. Its checksum makes the sum of its words
// zero.
func putValidation(b []byte, platform byte) {
	b[0], b[1], b[30], b[31] = 1, platform, 0x55, 0xaa
	sum := uint16(0)
	for i := 0; i < entrySize; i += 2 {
		sum += binary.LittleEndian.Uint16(b[i:])
	}
	binary.LittleEndian.PutUint16(b[28:], -sum)
}

// putBoot makes an entry for a program that is started without disk emulation.
func putBoot(b []byte, sectors uint16, offset int64) {
	b[0] = bootable
	binary.LittleEndian.PutUint16(b[6:], sectors)
	binary.LittleEndian.PutUint32(b[8:], uint32(offset/sector))
}

func espSectors(size int64) uint16 {
	n := (size + diskSector - 1) / diskSector
	if n > 1<<16-1 {
		return toTheEnd
	}
	return uint16(n)
}
