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

// cdSectors is the number of disk sectors in a CD sector.
const cdSectors = 4

// PatchCD writes into an image for a [CD] the numbers of the 2048-byte sectors at
// which the primary volume descriptor lies and the image begins. The length of image
// must be final. GRUB reads one sector beyond the image, so the CD must contain that
// sector.
func PatchCD(image []byte, volume, start uint32) error {
	if len(image) < cdBootSize+sectorSize {
		return fmt.Errorf("patch GRUB's image for a CD: it has only %d bytes: make it again", len(image))
	}
	// On a disk, see HybridCode, diskboot.img reads the rest from the sector after
	// its own.
	binary.LittleEndian.PutUint64(image[cdBootSize+blockSectorAt:], (uint64(start)+1)*cdSectors+1)
	clear(image[infoTableAt:infoTableEnd])
	for i, v := range []uint32{volume, start, uint32(len(image)), wordSum(image[infoTableEnd:])} {
		binary.LittleEndian.PutUint32(image[infoTableAt+wordSize*i:], v)
	}
	return nil
}

// wordSum adds up 32-bit words. The last word is padded with zeros.
func wordSum(b []byte) (sum uint32) {
	for len(b) > 0 {
		var word [wordSize]byte
		b = b[copy(word[:], b):]
		sum += binary.LittleEndian.Uint32(word[:])
	}
	return sum
}

// Offsets in boot_hybrid.img: the 64-bit number of the sector at which the image
// begins, and the jump past the check for a wrong drive number. Some BIOSes pass a
// drive number that is not a hard disk's, so that check must be removed.
const (
	hybridCodeSize   = 440
	hybridSectorAt   = 0x1b0
	hybridDriveCheck = 0x66
	nop              = 0x90
)

// HybridCode returns the first 440 bytes of a CD, which start GRUB if the CD's image
// was copied to a disk. start is the same as for [PatchCD].
func (c Core) HybridCode(start uint32) ([]byte, error) {
	b, err := c.read("boot_hybrid.img")
	if err != nil {
		return nil, fmt.Errorf("make GRUB's boot sector: %w", err)
	}
	if len(b) != sectorSize || b[sectorSize-2] != 0x55 || b[sectorSize-1] != 0xaa {
		return nil, fmt.Errorf("make GRUB's boot sector: boot_hybrid.img is not a boot sector: use the file of this name from GRUB")
	}
	code := bytes.Clone(b[:hybridCodeSize])
	binary.LittleEndian.PutUint64(code[hybridSectorAt:], (uint64(start)+1)*cdSectors)
	code[hybridDriveCheck], code[hybridDriveCheck+1] = nop, nop
	return code, nil
}
