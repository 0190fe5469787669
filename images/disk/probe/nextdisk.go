package probe

// nextDisk is a boot sector that goes on to the next disk that has one. Some BIOS firmware
// starts only the first of a machine's hard disks, and gives up if that is not bootable.
//
// The firmware puts the sector at 0x7c00, and the disk's number into DL. The code makes room
// there for the next one's sector, and leaves it that disk's number, as the firmware would. If
// there is no further disk, the firmware is told so by interrupt 0x18.
var nextDisk = [512]byte{
	0x31, 0xc0, //                   xor  ax, ax
	0x8e, 0xd8, //                   mov  ds, ax
	0x8e, 0xc0, //                   mov  es, ax
	0xfa,       //                   cli
	0x8e, 0xd0, //                   mov  ss, ax
	0xbc, 0x00, 0x7c, //             mov  sp, 0x7c00
	0xfb,             //             sti
	0xfc,             //             cld
	0xbe, 0x00, 0x7c, //             mov  si, 0x7c00
	0xbf, 0x00, 0x06, //             mov  di, 0x600
	0xb9, 0x00, 0x01, //             mov  cx, 256
	0xf3, 0xa5, //                   rep  movsw
	0xea, 0x1e, 0x06, 0x00, 0x00, // jmp  0:0x61e
	0xfe, 0xc2, //             next: inc  dl
	0xb8, 0x01, 0x02, //             mov  ax, 0x0201   read one sector
	0xb9, 0x01, 0x00, //             mov  cx, 1        of cylinder 0, sector 1
	0xb6, 0x00, //                   mov  dh, 0        and head 0
	0xbb, 0x00, 0x7c, //             mov  bx, 0x7c00
	0xcd, 0x13, //                   int  0x13
	0x72, 0x0d, //                   jc   none
	0x81, 0x3e, 0xfe, 0x7d, 0x55, 0xaa, // cmp word [0x7dfe], 0xaa55
	0x75, 0xe7, //                   jne  next
	0xea, 0x00, 0x7c, 0x00, 0x00, // jmp  0:0x7c00
	0xcd, 0x18, //             none: int  0x18
	510: 0x55, 0xaa,
}

// UnfinishedBeside is [Unfinished] for a disk beside which another one is bootable: BIOS
// firmware starts that.
func UnfinishedBeside() []byte {
	first := Unfinished()
	copy(first, nextDisk[:])
	return first
}
