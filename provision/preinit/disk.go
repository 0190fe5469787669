package preinit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/provision/hardware"
)

// rootDisk is the disk that a filesystem is on: of a mirror the first one that is there.
type rootDisk struct {
	// onMirror says that the filesystem is on a mirror. mirror is the file in /dev of the
	// other disk that it is on, or "" if that is missing, and mirrorSize the size of that.
	onMirror   bool
	mirror     string
	mirrorSize int64
	dir        string // in /sys
	file       string // in /dev
	size       int64
	sector     int64
	last       disk.Partition // the one that grows
}

// kernelSector is the unit of the sizes in /sys, in bytes, whatever a disk's
// own sectors are.
const kernelSector = 512

// diskOf returns the disk that has the filesystem of path on one of its
// partitions. It returns an error if the filesystem is not on a partition.
func diskOf(path string) (*rootDisk, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, fmt.Errorf("find the disk of %s: %w", path, err)
	}
	link := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	dir, err := filepath.EvalSymlinks(link)
	if err != nil {
		return nil, fmt.Errorf("find the disk of %s: it is on no block device: %w", path, err)
	}
	parts := []string{dir}
	if _, err := os.Stat(filepath.Join(dir, "md")); err == nil {
		if parts, err = membersOf(dir); err != nil {
			return nil, fmt.Errorf("find the disk of %s: %w", path, err)
		}
	}
	if _, err := os.Stat(filepath.Join(parts[0], "partition")); err != nil {
		return nil, fmt.Errorf("find the disk of %s: %s is no partition: %w", path, filepath.Base(parts[0]), err)
	}
	d := &rootDisk{dir: filepath.Dir(parts[0]), onMirror: parts[0] != dir}
	if len(parts) > 1 {
		other := filepath.Dir(parts[1])
		d.mirror = hardware.DevicePath(filepath.Base(other))
		sectors, err := readNumber(other, "size")
		if err != nil {
			return nil, err
		}
		d.mirrorSize = sectors * kernelSector
	}
	d.file = hardware.DevicePath(filepath.Base(d.dir))
	sectors, err := readNumber(d.dir, "size")
	if err != nil {
		return nil, err
	}
	d.size = sectors * kernelSector
	d.sector, err = readNumber(d.dir, "queue/logical_block_size")
	return d, err
}

// grow makes the disk's last partition as large as it can be. It writes the
// partition table and tells the kernel.
func (d *rootDisk) grow(say func(string, ...any)) error {
	file, err := os.OpenFile(d.file, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("grow into the disk: %w", err)
	}
	defer file.Close()
	p, grown, err := disk.Grow(file, d.size, d.sector)
	if err != nil {
		return err
	}
	if d.last = p; grown {
		say("partition %d (%s) grows to %s", p.Number, p.Name, bytesize.Binary(p.Size))
	}
	return resizePartition(file, p)
}

// resizePartition tells the kernel how long a partition is. The partition may
// be mounted.
func resizePartition(file *os.File, p disk.Partition) error {
	part := unix.BlkpgPartition{Start: p.Offset, Length: p.Size, Pno: int32(p.Number)}
	arg := unix.BlkpgIoctlArg{Op: unix.BLKPG_RESIZE_PARTITION, Datalen: int32(unsafe.Sizeof(part)), Data: (*byte)(unsafe.Pointer(&part))}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&arg))); errno != 0 {
		return fmt.Errorf("tell the kernel that partition %d of %s has %d bytes: %w", p.Number, file.Name(), p.Size, errno)
	}
	return nil
}

// resizeFilesystem is EXT4_IOC_RESIZE_FS of fs/ext4/ext4.h. Its argument is a
// length in blocks.
const resizeFilesystem = 0x40086610

// growFilesystem makes the filesystem on the last partition as large as the
// partition. The filesystem must be mounted on one of dirs; otherwise
// growFilesystem does nothing.
func (d *rootDisk) growFilesystem(say func(string, ...any), dirs ...string) error {
	if d.last.Size == 0 {
		return nil // grow failed, and prepare has said why
	}
	for _, dir := range dirs {
		if on, err := d.partitionOf(dir); err != nil || on != d.last.Number {
			continue
		}
		before, after, err := growMounted(dir, d.last.Size)
		if err != nil {
			return err
		}
		if after > before {
			say("the filesystem on %s grew from %s to %s", dir, bytesize.Binary(before), bytesize.Binary(after))
		}
		return nil
	}
	return nil
}

// growMounted makes the ext4 filesystem that is mounted on dir size bytes long.
// It returns how many bytes the filesystem had before and has after.
func growMounted(dir string, size int64) (before, after int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("grow the filesystem on %s: %w", dir, err)
	}
	before = int64(st.Blocks) * st.Bsize
	if st.Flags&unix.ST_RDONLY != 0 { // make it writable until it has grown; the system does so itself, later
		defer func() { err = errors.Join(err, remount(dir, unix.MS_RDONLY)) }()
		if err := remount(dir, 0); err != nil {
			return 0, 0, err
		}
	}
	root, err := os.Open(dir)
	if err != nil {
		return 0, 0, fmt.Errorf("grow the filesystem on %s: %w", dir, err)
	}
	defer root.Close()
	blocks := uint64(size / st.Bsize)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, root.Fd(), resizeFilesystem, uintptr(unsafe.Pointer(&blocks))); errno != 0 {
		return 0, 0, fmt.Errorf("grow the filesystem on %s to %d blocks: %w", dir, blocks, errno)
	}
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("look at the filesystem on %s, which grew: %w", dir, err)
	}
	return before, int64(st.Blocks) * st.Bsize, nil
}

func remount(dir string, flags uintptr) error {
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|flags, ""); err != nil {
		return fmt.Errorf("mount %s anew, to let it grow: %w", dir, err)
	}
	return nil
}

// partitionOf returns the number of the disk's partition that a directory is
// on. It returns 0 if the directory is on another device.
func (d *rootDisk) partitionOf(dir string) (int, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return 0, err
	}
	sys, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err == nil && d.onMirror {
		var parts []string
		if parts, err = membersOf(sys); err == nil {
			sys = parts[0]
		}
	}
	if err != nil || filepath.Dir(sys) != d.dir {
		return 0, err
	}
	number, err := readNumber(sys, "partition")
	return int(number), err
}

// partitionFile returns the device file of a partition of the disk.
func (d *rootDisk) partitionFile(number int) (string, error) {
	dirs, err := filepath.Glob(filepath.Join(d.dir, "*", "partition"))
	if err != nil {
		return "", err
	}
	for _, file := range dirs {
		if n, err := readNumber(filepath.Dir(file), "partition"); err == nil && int(n) == number {
			return hardware.DevicePath(filepath.Base(filepath.Dir(file))), nil
		}
	}
	return "", fmt.Errorf("the kernel has no partition %d of %s", number, d.file)
}

// membersOf returns the partitions in /sys of which an array is made, in the order of their
// names.
func membersOf(array string) ([]string, error) {
	links, err := filepath.Glob(filepath.Join(array, "slaves", "*"))
	if err != nil || len(links) == 0 {
		return nil, errors.Join(fmt.Errorf("the kernel names no member of %s", filepath.Base(array)), err)
	}
	for n := range links { // they are sorted
		if links[n], err = filepath.EvalSymlinks(links[n]); err != nil {
			return nil, err
		}
	}
	return links, nil
}

// arrayFile returns the device file of the mirror in a partition of the disk. Whoever
// started this system has started that mirror.
func (d *rootDisk) arrayFile(number int) (string, error) {
	name := fmt.Sprintf("md%d", disk.ArrayNumber(disk.Partition{Number: number}))
	if _, err := os.Stat(filepath.Join("/sys/block", name, "md")); err != nil {
		return "", fmt.Errorf("look for the mirror in partition %d of %s: it does not run: %w", number, d.file, err)
	}
	return hardware.DevicePath(name), nil
}

// layout returns the layout of the disk, which has two slots.
func (d *rootDisk) layout() (disk.Layout, error) {
	if d.onMirror {
		return d.mirrorLayout()
	}
	f, err := os.Open(d.file)
	if err != nil {
		return disk.Layout{}, err
	}
	defer f.Close()
	return disk.FindSlots(f, d.size, d.sector)
}

// mirrorLayout returns the layout of the first disk of a mirror that can be read: both have
// their partitions at the same places.
func (d *rootDisk) mirrorLayout() (disk.Layout, error) {
	l, err := findMirror(d.file, d.size, d.sector)
	if err == nil || d.mirror == "" {
		return l, err
	}
	l, other := findMirror(d.mirror, d.mirrorSize, d.sector)
	if other != nil {
		return l, errors.Join(err, other)
	}
	return l, nil
}

func findMirror(file string, size, sector int64) (disk.Layout, error) {
	f, err := os.Open(file)
	if err != nil {
		return disk.Layout{}, err
	}
	defer f.Close()
	l, err := disk.FindMirror(f, size, sector)
	if err != nil {
		return l, fmt.Errorf("%s: %w", file, err)
	}
	return l, nil
}

func readNumber(sys, name string) (int64, error) {
	text, err := os.ReadFile(filepath.Join(sys, name))
	if err != nil {
		return 0, fmt.Errorf("look at the device %s: %w", filepath.Base(sys), err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("look at the device %s: %w", filepath.Base(sys), err)
	}
	return n, nil
}
