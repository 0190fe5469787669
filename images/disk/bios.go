package disk

import (
	"encoding/binary"
	"fmt"
)

// Places in GRUB's images for BIOS that an installer fills in.
const (
	bootCodeSize    = 440  // what boot.img may take of the first sector
	bootCoreSector  = 0x5c // in boot.img: where core.img begins, 64 bits
	bootDriveCheck  = 0x66 // in boot.img: a jump past the check for a wrong drive number
	coreRestSector  = 0x1f4
	biosSector      = 512
	nopInstruction  = 0x90
	bootSignatureAt = 510
)

// BIOS says whether the disk gets a boot loader for BIOS: only amd64 has such
// firmware, and that reads no sectors of 4096 bytes.
func (l Layout) BIOS() bool { return l.Arch == AMD64 && l.Sector == biosSector }

// BootSector is the disk's first MiB as it must be written last: the
// partition table, and where [Layout.BIOS] holds, boot.img with the place of
// core.img in it.
func (l Layout) BootSector(loaders Loaders) ([]byte, error) {
	table, err := l.Table()
	if err != nil || !l.BIOS() {
		return table.First, err
	}
	img, err := loaders.get(BootImage)
	if err != nil {
		return nil, err
	}
	if len(img) != biosSector || binary.LittleEndian.Uint16(img[bootSignatureAt:]) != 0xaa55 {
		return nil, fmt.Errorf("install boot loaders: %s is no boot sector of %d bytes: take GRUB's", BootImage, biosSector)
	}
	code := table.First[:bootCodeSize]
	copy(code, img)
	binary.LittleEndian.PutUint64(code[bootCoreSector:], l.coreSector())
	// Without the check a BIOS that passes no hard disk's number cannot boot.
	code[bootDriveCheck], code[bootDriveCheck+1] = nopInstruction, nopInstruction
	return table.First, nil
}

// PatchCore is core.img as it goes to the beginning of the BIOS-boot
// partition, in whole sectors. The loaders' copy stays as it is.
func (l Layout) PatchCore(loaders Loaders) ([]byte, error) {
	img, err := loaders.get(CoreImage)
	if err != nil {
		return nil, err
	}
	if len(img) <= biosSector {
		return nil, fmt.Errorf("install boot loaders: %s has only %d bytes: make it anew", CoreImage, len(img))
	}
	if int64(len(img)) > l.BIOSBoot.Size {
		return nil, fmt.Errorf("install boot loaders: %s has %d bytes, and its partition has %d: make it with fewer modules", CoreImage, len(img), l.BIOSBoot.Size)
	}
	core := make([]byte, (len(img)+biosSector-1)/biosSector*biosSector)
	copy(core, img)
	binary.LittleEndian.PutUint64(core[coreRestSector:], l.coreSector()+1)
	return core, nil
}

// coreSector is where core.img begins, in sectors.
func (l Layout) coreSector() uint64 { return uint64(l.BIOSBoot.Offset / biosSector) }
