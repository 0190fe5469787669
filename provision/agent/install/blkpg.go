package install

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
)

// The kernel's interface to add and remove partitions without a table on the
// disk: include/uapi/linux/blkpg.h. With it the disk has no table, and so is
// not bootable, until everything on it is complete.
const (
	blkpg             = 0x1269
	blkpgAddPartition = 1
	blkpgDelPartition = 2
	maxPartitions     = 128
)

type blkpgPartition struct {
	start, length int64
	number        int32
	name          [64]byte
	volume        [64]byte
	_             [4]byte
}

type blkpgArg struct {
	op, flags, length int32
	_                 [4]byte
	data              *blkpgPartition
}

func partitionCall(device *os.File, op int32, p *blkpgPartition) error {
	arg := blkpgArg{op: op, length: int32(unsafe.Sizeof(*p)), data: p}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, device.Fd(), blkpg, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 {
		return errno
	}
	return nil
}

func addPartition(device *os.File, p disk.Partition) error {
	return partitionCall(device, blkpgAddPartition, &blkpgPartition{start: p.Offset, length: p.Size, number: int32(p.Number)})
}

// forgetPartitions makes the kernel forget all partitions of a disk. It may
// know them from an old table, or from an install that failed.
func forgetPartitions(device *os.File) error {
	for number := int32(1); number <= maxPartitions; number++ {
		err := partitionCall(device, blkpgDelPartition, &blkpgPartition{number: number})
		if err != nil && !errors.Is(err, unix.ENXIO) {
			return fmt.Errorf("forget partition %d: %w", number, err)
		}
	}
	return nil
}
