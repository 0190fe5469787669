//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"cloudlets/images/pause"
)

// getDiskSequence is BLKGETDISKSEQ of include/uapi/linux/fs.h.
const getDiskSequence = 0x80081280

// maxPartitions is larger than the number of partitions that the kernel supports on a
// disk.
const maxPartitions = 256

// sequenceOf returns the kernel's sequence number of an open disk, which stays the
// same if the disk's name changes. Kernels before 5.15 do not have such numbers.
func sequenceOf(f *os.File) (uint64, error) { return getNumber(f, getDiskSequence) }

// lengthOf returns the length in bytes of an open device.
func lengthOf(f *os.File) (int64, error) {
	n, err := getNumber(f, unix.BLKGETSIZE64)
	return int64(n), err
}

func getNumber(f *os.File, request uintptr) (n uint64, err error) {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(unsafe.Pointer(&n)))
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

// forgetPartitions makes the kernel drop the partitions that it read from the old
// table, so that no program can open one while the device is written. It returns an
// error if a program already has one open, even if that program only reads.
func forgetPartitions(f *os.File) error {
	for number := int32(1); number <= maxPartitions; number++ {
		p := unix.BlkpgPartition{Pno: number}
		arg := unix.BlkpgIoctlArg{Op: unix.BLKPG_DEL_PARTITION, Datalen: int32(unsafe.Sizeof(p)), Data: (*byte)(unsafe.Pointer(&p))}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&arg)))
		switch errno {
		case 0, unix.ENXIO:
		case unix.EINVAL, unix.ENOTTY: // a kind of device that has no partitions
			return nil
		case unix.EBUSY:
			return fmt.Errorf("%s: %w: a program has its partition %d open: close that program", f.Name(), ErrRefused, number)
		default:
			return fmt.Errorf("make the kernel forget partition %d of %s: %w", number, f.Name(), errno)
		}
	}
	return nil
}

const (
	readTableTries = 20
	readTablePause = 100 * time.Millisecond
)

// readTable makes the kernel read the new partition table. It tries several times,
// because programs that examine every changed disk can block it for a moment.
func readTable(ctx context.Context, f *os.File) error {
	for try := 1; ; try++ {
		err := unix.IoctlSetInt(int(f.Fd()), unix.BLKRRPART, 0)
		switch {
		case err == nil, errors.Is(err, unix.EINVAL): // a kind of device that has no partitions
			return nil
		case !errors.Is(err, unix.EBUSY) || try == readTableTries:
			return err
		}
		if err := pause.For(ctx, readTablePause); err != nil {
			return err
		}
	}
}
