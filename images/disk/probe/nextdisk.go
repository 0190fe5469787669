package probe

import "bytes"

// nextDisk is a boot sector that goes on to the next disk that has one. Some BIOS firmware
// starts only the first of a machine's hard disks, and gives up if that is not bootable.
//
// The firmware puts the sector at 0x7c00, and the disk's number into DL: 0x80 is the first hard
// disk. The code makes room there for the next one's sector, and leaves it that disk's number,
// as the firmware would. A number that is no hard disk's counts as the first, as some firmware
// passes a wrong one. A disk that cannot be read is passed over, and one whose sector has no
// code, as that of a disk for data. If there is no further disk, the firmware is told so by
// interrupt 0x18.
var nextDisk = [512]byte{
	0x31, 0xc0, //                    xor  ax, ax
	0x8e, 0xd8, //                    mov  ds, ax
	0x8e, 0xc0, //                    mov  es, ax
	0xfa,       //                    cli
	0x8e, 0xd0, //                    mov  ss, ax
	0xbc, 0x00, 0x7c, //              mov  sp, 0x7c00
	0xfb,             //              sti
	0xfc,             //              cld
	0xbe, 0x00, 0x7c, //              mov  si, 0x7c00
	0xbf, 0x00, 0x06, //              mov  di, 0x600
	0xb9, 0x00, 0x01, //              mov  cx, 256
	0xf3, 0xa5, //                    rep  movsw
	0xea, 0x1e, 0x06, 0x00, 0x00, //  jmp  0:0x61e
	0x80, 0xfa, 0x80, //              cmp  dl, 0x80
	0x72, 0x05, //                    jb   first
	0x80, 0xfa, 0x8f, //              cmp  dl, 0x8f
	0x76, 0x02, //                    jbe  next
	0xb2, 0x80, //             first: mov  dl, 0x80
	0xfe, 0xc2, //              next: inc  dl
	0x80, 0xfa, 0x8f, //              cmp  dl, 0x8f
	0x77, 0x23, //                    ja   none
	0xb8, 0x01, 0x02, //              mov  ax, 0x0201   read one sector
	0xb9, 0x01, 0x00, //              mov  cx, 1        of cylinder 0, sector 1
	0xb6, 0x00, //                    mov  dh, 0        and head 0
	0xbb, 0x00, 0x7c, //              mov  bx, 0x7c00
	0xcd, 0x13, //                    int  0x13
	0x72, 0xea, //                    jc   next
	0x81, 0x3e, 0xfe, 0x7d, 0x55, 0xaa, // cmp word [0x7dfe], 0xaa55
	0x75, 0xe2, //                    jne  next
	0x83, 0x3e, 0x00, 0x7c, 0x00, //  cmp  word [0x7c00], 0
	0x74, 0xdb, //                    je   next
	0xea, 0x00, 0x7c, 0x00, 0x00, //  jmp  0:0x7c00
	0xcd, 0x18, //              none: int  0x18
	510: 0x55, 0xaa,
}

// PartOfMirror is the kind of a disk that an install was making a part of a mirror when it broke
// off. The other disk of the mirror is bootable.
const PartOfMirror = "a part of a mirror that an install did not complete"

const partOfMirror = "cloudlets: an install began to make this disk a part of a mirror, and did not complete it\n"

// UnfinishedPart returns the first MiB of a disk while an install makes it a part of a mirror
// beside another disk, which is bootable. BIOS firmware starts that one. For [Identify] it is a
// [PartOfMirror], since its partitions may have what it had before.
func UnfinishedPart(bios bool) []byte {
	first := make([]byte, mebi)
	copy(first[unfinishedOffset:], partOfMirror)
	if bios {
		copy(first, nextDisk[:])
	}
	return first
}

// unfinishedPart says whether the area begins as [UnfinishedPart] says.
func (a *area) unfinishedPart() bool {
	first := a.bytes(0, mebi)
	return bytes.Equal(first, UnfinishedPart(false)) || bytes.Equal(first, UnfinishedPart(true))
}
