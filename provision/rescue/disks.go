package rescue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/provision/hardware"
)

// readers are the filesystems that are mounted to be read, with the option by which each
// leaves its journal alone.
var readers = []struct{ kind, options string }{
	{"ext4", "noload"},
	{"xfs", "norecovery,nouuid"},
	{"btrfs", "rescue=nologreplay"},
}

// Filesystems are the names of those that can be mounted.
func Filesystems() []string {
	names := make([]string, len(readers))
	for i, r := range readers {
		names[i] = r.kind
	}
	return names
}

// MountDisks mounts the filesystems on the machine's disks below dir, each in a folder
// with the name of its partition, and returns a line about each.
func MountDisks(sys fs.FS, dir string) ([]string, error) {
	disks, err := hardware.Disks(sys)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, d := range disks {
		// A write to the whole disk would reach a partition that is mounted.
		if err := refuseWrites(hardware.DevicePath(d.Name)); err != nil {
			lines = append(lines, fmt.Sprintf("make %s read-only: %v; nothing on it is mounted", d.Name, err))
			continue
		}
		for _, name := range parts(sys, d.Name) {
			at := filepath.Join(dir, strings.ReplaceAll(name, "!", "-"))
			kind, err := MountToRead(hardware.DevicePath(name), at)
			switch {
			case err != nil:
				lines = append(lines, err.Error())
			case kind != "":
				lines = append(lines, describe(name, kind, at))
			}
		}
	}
	if len(lines) == 0 {
		lines = []string{"no disk has a filesystem that can be read (" + strings.Join(Filesystems(), ", ") + ")"}
	}
	return lines, nil
}

// describe says what is mounted where, below the new root.
func describe(name, kind, at string) string {
	text := fmt.Sprintf("%s (%s) is mounted at /mnt/%s, to be read", name, kind, filepath.Base(at))
	for _, init := range []string{"sbin/init", "usr/sbin/init", "usr/lib/systemd/systemd"} {
		if _, err := os.Lstat(filepath.Join(at, init)); err == nil {
			return text + ": the root of a system"
		}
	}
	return text
}

// parts are a disk's partitions, or the disk itself if it has none.
func parts(sys fs.FS, disk string) []string {
	entries, _ := fs.ReadDir(sys, "block/"+disk)
	var names []string
	for _, e := range entries {
		if hardware.Attribute(sys, "block/"+disk+"/"+e.Name()+"/partition") != "" {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return []string{disk}
	}
	return names
}

// MountToRead mounts the filesystem on a device, if it has one of [Filesystems], and
// returns its kind. Before that it makes the kernel refuse all writes to the device: ext4
// would otherwise clean up what was deleted while it was open, even if it is mounted
// read-only and leaves its journal alone.
func MountToRead(device, dir string) (kind string, err error) {
	if err := refuseWrites(device); err != nil {
		return "", fmt.Errorf("make %s read-only: %w; it is not mounted", device, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	for _, r := range readers {
		err := unix.Mount(device, dir, r.kind, unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, r.options)
		switch {
		case err == nil:
			return r.kind, nil
		case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV):
			// another filesystem, or one without a driver
		default:
			_ = os.Remove(dir)
			return "", fmt.Errorf("mount %s (%s) to be read: %w", device, r.kind, err)
		}
	}
	return "", errors.Join(os.Remove(dir))
}

// refuseWrites makes a device read-only for all, until `blockdev --setrw`.
func refuseWrites(device string) error {
	f, err := os.Open(device)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetPointerInt(int(f.Fd()), unix.BLKROSET, 1)
}
