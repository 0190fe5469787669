package install

import (
	"context"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk/sparse"
)

// writeExt4 discards what is on a partition, calls write to write a filesystem
// of size bytes there, and syncs the partition.
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

// discardStep is how many bytes are discarded at a time. Between two steps
// discard can notice that ctx ended.
const discardStep = 2 << 30

// discard tells a device that its content is not needed any more, as mkfs
// does. If the device cannot discard, it keeps the old bytes, which does no
// harm.
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
