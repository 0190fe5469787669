package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/hardware"
)

// openDisk opens a disk that nothing uses. It first opens the disk with
// O_EXCL, since the kernel then refuses a disk if a part of it is mounted or
// in an array. Without O_CREATE it refuses a name that does not exist.
// openDisk closes that file before it returns, because it would keep mkfs from
// the disk's partitions.
func openDisk(name string) (*os.File, error) {
	claim, err := os.OpenFile(name, os.O_RDWR|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("it is in use: something is mounted from it, or it is part of an array: %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer claim.Close()
	if err := wantBlockDevice(claim); err != nil {
		return nil, err
	}
	// Open the disk by the open file, since its name may be another disk's by now.
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", claim.Fd()), os.O_RDWR, 0)
}

// openSharedDisk opens a disk of which some partitions are in use.
func openSharedDisk(name string) (*os.File, error) {
	device, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := wantBlockDevice(device); err != nil {
		device.Close()
		return nil, err
	}
	return device, nil
}

func wantBlockDevice(f *os.File) error {
	if info, err := f.Stat(); err != nil || info.Mode().Type() != fs.ModeDevice {
		return errors.Join(fmt.Errorf("%s is no block device", f.Name()), err)
	}
	return nil
}

// checkSame returns an error if the name of the chosen disk now means another
// disk. That can happen if a disk fails or is plugged in.
func checkSame(sys fs.FS, chosen provision.DiskInfo) error {
	now := hardware.Disk(sys, chosen.Name)
	if now.Size == chosen.Size && now.Serial == chosen.Serial && now.WWN == chosen.WWN && now.Model == chosen.Model {
		return nil
	}
	return fmt.Errorf("%s is another disk than when it was chosen: it was %s, and is %s: start the machine again", chosen.Name, chosen, now)
}

func waitForPartition(ctx context.Context, name string, number int) (string, error) {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	device := hardware.PartitionPath(name, number)
	for {
		if _, err := os.Stat(device); err == nil {
			return device, nil
		}
		if err := pause.For(ctx, 20*time.Millisecond); err != nil {
			return "", fmt.Errorf("wait for the kernel to make the device %s: %w", device, err)
		}
	}
}
