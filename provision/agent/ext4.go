package agent

import (
	"context"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk/sparse"
)

// writeExt4 has a filesystem of size bytes written to a partition.
func writeExt4(ctx context.Context, device string, size int64, write func(sparse.Writer) error) error {
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := discard(ctx, f, size); err != nil {
		return err
	}
	if err := write(sparse.At(f, 0)); err != nil {
		return err
	}
	return f.Sync()
}

// discardStep is how much of a device is given back at a time, in bytes.
const discardStep = 2 << 30

// discard tells a device that nothing on it is needed any more, as mkfs does.
// A device without that ability keeps its old bytes, which does no harm.
func discard(ctx context.Context, device *os.File, size int64) error {
	for at := int64(0); at < size; at += discardStep {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := [2]uint64{uint64(at), uint64(min(discardStep, size-at))}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, device.Fd(), unix.BLKDISCARD, uintptr(unsafe.Pointer(&part)))
		if errno != 0 {
			return nil
		}
	}
	return nil
}
