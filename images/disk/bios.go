package disk

import (
	"encoding/binary"
	"fmt"

	"cloudlets/images/disk/bootloader"
)

// Offsets in GRUB's images for BIOS, at which the installer writes.
const (
	bootCodeSize    = 440  // bytes of the first sector that boot.img may use
	bootCoreSector  = 0x5c // in boot.img: the sector of core.img, 64 bits
	bootDriveCheck  = 0x66 // in boot.img: a jump past the check for a wrong drive number
	coreRestSector  = 0x1f4
	biosSector      = 512
	nopInstruction  = 0x90
	bootSignatureAt = 510
)

// BIOS reports whether the disk gets a boot loader for BIOS. Only amd64 machines
// have a BIOS, and a BIOS cannot read sectors of 4096 bytes.
func (l Layout) BIOS() bool { return l.Arch == bootloader.AMD64 && l.Sector == biosSector }

// BootSector returns the disk's first MiB, which must be written last. It holds
// the partition table and, if [Layout.BIOS] is true, boot.img with the sector of
// core.img filled in.
func (l Layout) BootSector(loaders bootloader.Files) ([]byte, error) {
	table, err := l.Table()
	if err != nil || !l.BIOS() {
		return table.First, err
	}
	img, err := loaders.Get(bootloader.BootImage)
	if err != nil {
		return nil, err
	}
	if len(img) != biosSector || binary.LittleEndian.Uint16(img[bootSignatureAt:]) != 0xaa55 {
		return nil, fmt.Errorf("install boot loaders: %s is not a boot sector of %d bytes: use the file of this name from GRUB", bootloader.BootImage, biosSector)
	}
	code := table.First[:bootCodeSize]
	copy(code, img)
	binary.LittleEndian.PutUint64(code[bootCoreSector:], l.coreSector())
	// Some BIOSes pass a drive number that is not a hard disk's. boot.img would
	// refuse to boot then, so its check is removed.
	code[bootDriveCheck], code[bootDriveCheck+1] = nopInstruction, nopInstruction
	return table.First, nil
}

// PatchCore returns core.img as it must be written to the beginning of the
// BIOS-boot partition, padded to whole sectors. It does not change the copy in
// loaders.
func (l Layout) PatchCore(loaders bootloader.Files) ([]byte, error) {
	img, err := loaders.Get(bootloader.CoreImage)
	if err != nil {
		return nil, err
	}
	if len(img) <= biosSector {
		return nil, fmt.Errorf("install boot loaders: %s has only %d bytes: make it again", bootloader.CoreImage, len(img))
	}
	if int64(len(img)) > l.BIOSBoot.Size {
		return nil, fmt.Errorf("install boot loaders: %s has %d bytes, but its partition has only %d: make it with fewer modules", bootloader.CoreImage, len(img), l.BIOSBoot.Size)
	}
	core := make([]byte, (len(img)+biosSector-1)/biosSector*biosSector)
	copy(core, img)
	binary.LittleEndian.PutUint64(core[coreRestSector:], l.coreSector()+1)
	return core, nil
}

// coreSector is the number of the sector at which core.img begins.
func (l Layout) coreSector() uint64 { return uint64(l.BIOSBoot.Offset / biosSector) }
