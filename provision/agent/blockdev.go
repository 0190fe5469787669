package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/provision/ramdisk"
)

// The kernel's interface for partitions that no table on the disk names:
// include/uapi/linux/blkpg.h. With it the disk stays without a table, and so
// unbootable, until everything on it is complete.
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

// forgetPartitions removes what the kernel read from an old table.
func forgetPartitions(device *os.File) error {
	for number := int32(1); number <= maxPartitions; number++ {
		err := partitionCall(device, blkpgDelPartition, &blkpgPartition{number: number})
		if err != nil && !errors.Is(err, unix.ENXIO) {
			return fmt.Errorf("partition %d: %w", number, err)
		}
	}
	return nil
}

// openDisk opens a disk that nothing uses. O_EXCL makes the kernel refuse one
// of which a part is mounted or in an array, and the absence of O_CREATE a
// name that is no disk. The claim is let go at once, since it would keep mkfs
// from the disk's partitions.
func openDisk(name string) (*os.File, error) {
	claim, err := os.OpenFile(name, os.O_RDWR|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("it is in use: something is mounted from it, or it is part of an array: %w", err)
	}
	if err != nil {
		return nil, err
	}
	defer claim.Close()
	return os.OpenFile(name, os.O_RDWR, 0)
}

var endsInDigit = regexp.MustCompile(`[0-9]$`)

// partitionPath is a partition's device: /dev/sda3, /dev/nvme0n1p3.
func partitionPath(name string, number int) string {
	if endsInDigit.MatchString(name) {
		name += "p"
	}
	return filepath.Join("/dev", fmt.Sprintf("%s%d", name, number))
}

func waitForPartition(ctx context.Context, name string, number int) (string, error) {
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	device := partitionPath(name, number)
	for {
		if _, err := os.Stat(device); err == nil {
			return device, nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return "", fmt.Errorf("the kernel made no device %s", device)
		}
	}
}

func makerPath(filesystem string) string { return ramdisk.MakerPath(filesystem) }

// rootLabel names the root filesystem for people who look at the disk.
const rootLabel = "cloudlet"

// makeFilesystem runs the image's own mkfs, so that the filesystem has just
// the features that the image's kernel and tools know.
func makeFilesystem(ctx context.Context, maker, filesystem, id, device string) error {
	args := map[string][]string{
		"ext4":  {"-q", "-F", "-L", rootLabel, "-U", id, "-E", "lazy_itable_init=1,lazy_journal_init=1"},
		"xfs":   {"-q", "-f", "-L", rootLabel, "-m", "uuid=" + id},
		"btrfs": {"-q", "-f", "-L", rootLabel, "-U", id},
	}[filesystem]
	if args == nil {
		return fmt.Errorf("make a %s filesystem: only ext4, xfs and btrfs are known", filesystem)
	}
	cmd := exec.CommandContext(ctx, maker, append(args, device)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("make a %s filesystem on %s: %s: %w: %s", filesystem, device, maker, err, strings.TrimSpace(said.String()))
	}
	return nil
}

// syncFilesystem writes out everything of the filesystem at dir, and fails
// where the device did.
func syncFilesystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}
