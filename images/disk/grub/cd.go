package grub

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The boot information table of an El Torito image, as mkisofs defined it:
// four words from byte 8 on, and forty bytes of zero.
const (
	infoTableAt  = 8
	infoTableEnd = 64
)

// cdSectors is how many sectors of a disk one of a CD is.
const cdSectors = 4

// PatchCD tells an image for a [CD] its place: the sectors of 2048 bytes where
// the primary volume descriptor is and where the image begins. It changes
// image, whose length must be final by then. GRUB reads one sector more than
// the image has: the CD must have it.
func PatchCD(image []byte, volume, start uint32) error {
	if len(image) < cdBootSize+sectorSize {
		return fmt.Errorf("patch GRUB's image for a CD: it has only %d bytes", len(image))
	}
	// Read as a disk, see HybridCode, the rest follows the first sector.
	binary.LittleEndian.PutUint64(image[cdBootSize+blockSectorAt:], (uint64(start)+1)*cdSectors+1)
	clear(image[infoTableAt:infoTableEnd])
	for i, v := range []uint32{volume, start, uint32(len(image)), wordSum(image[infoTableEnd:])} {
		binary.LittleEndian.PutUint32(image[infoTableAt+wordSize*i:], v)
	}
	return nil
}

// wordSum adds up 32-bit words, the last one filled up with zeros.
func wordSum(b []byte) (sum uint32) {
	for len(b) > 0 {
		var word [wordSize]byte
		b = b[copy(word[:], b):]
		sum += binary.LittleEndian.Uint32(word[:])
	}
	return sum
}

// Places in boot_hybrid.img: where the image begins on the disk, 64 bits; and
// a jump past the check for a wrong drive number, which a BIOS that passes no
// hard disk's number must not take.
const (
	hybridCodeSize   = 440
	hybridSectorAt   = 0x1b0
	hybridDriveCheck = 0x66
	nop              = 0x90
)

// HybridCode is what goes to the first 440 bytes of a CD, so that it starts
// when it was written to a disk: start is that of [PatchCD].
func (c Core) HybridCode(start uint32) ([]byte, error) {
	b, err := c.read("boot_hybrid.img")
	if err != nil {
		return nil, fmt.Errorf("make GRUB's boot sector: %w", err)
	}
	if len(b) != sectorSize || b[sectorSize-2] != 0x55 || b[sectorSize-1] != 0xaa {
		return nil, fmt.Errorf("make GRUB's boot sector: boot_hybrid.img is no boot sector: take GRUB's")
	}
	code := bytes.Clone(b[:hybridCodeSize])
	binary.LittleEndian.PutUint64(code[hybridSectorAt:], (uint64(start)+1)*cdSectors)
	code[hybridDriveCheck], code[hybridDriveCheck+1] = nop, nop
	return code, nil
}
