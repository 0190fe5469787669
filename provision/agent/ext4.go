package agent

import (
	"context"
	"os"
	"time"
	"unsafe"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/sparse"
)

// makeExt4 writes an empty filesystem, with what every disk of a cloudlet has.
func makeExt4(ctx context.Context, device string, size int64, id uuid.UUID) error {
	f, err := os.OpenFile(device, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := discard(ctx, f, size); err != nil {
		return err
	}
	err = ext4.Format(ctx, sparse.At(f, 0), ext4.Options{
		Size: size, UUID: id, Label: rootLabel, Time: time.Now(), Stale: true, LazyJournal: true,
	})
	if err != nil {
		return err
	}
	return f.Sync()
}

// discardStep is how much of a device is given back at a time, in bytes.
const discardStep = 2 << 30

// discard tells a device that nothing on it is needed any more, as any mkfs
// does. One that cannot be told keeps its old bytes, which is no fault.
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
