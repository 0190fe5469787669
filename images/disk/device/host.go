//go:build linux

package device

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk/probe"
)

// Host gives access to the running system's knowledge of its devices.
type Host struct {
	// Sys and Proc are the file systems /sys and /proc.
	Sys, Proc fs.FS
	// Describe describes the disk with a kernel name, e.g. "sdb".
	Describe func(name string) Disk
}

// Look finds out what the block device at a path is, what it is used for and what is
// on it. The path may be a link, e.g. in /dev/disk/by-id. Look writes nothing.
func (h Host) Look(file string) (Facts, error) {
	number, err := numberOf(file)
	if err != nil {
		return Facts{}, err
	}
	dir, err := h.find(number)
	if err != nil {
		return Facts{}, fmt.Errorf("look at the device %s: %w", file, err)
	}
	f, err := h.facts(dir)
	if err != nil {
		return Facts{}, fmt.Errorf("look at the device %s: %w", file, err)
	}
	f.Number = number
	f.Contents = contents(f.Path, f.Size)
	return f, nil
}

// numberOf returns the device number of a block device.
func numberOf(file string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(file, &st); err != nil {
		return 0, fmt.Errorf("look at the device %s: %w", file, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, fmt.Errorf("look at the device %s: it is not a block device", file)
	}
	return st.Rdev, nil
}

// find returns the folder of a device in /sys.
func (h Host) find(number uint64) (string, error) {
	link := fmt.Sprintf("dev/block/%d:%d", unix.Major(number), unix.Minor(number))
	target, err := fs.ReadLink(h.Sys, link)
	if err != nil {
		return "", fmt.Errorf("the kernel has no device %d:%d: %w", unix.Major(number), unix.Minor(number), err)
	}
	return path.Join("dev/block", target), nil
}

// facts collects what /sys and /proc tell about a device.
func (h Host) facts(dir string) (f Facts, err error) {
	if name := path.Base(dir); h.has(dir + "/partition") {
		whole := path.Base(path.Dir(dir))
		f.Disk = h.Describe(whole)
		f.Name, f.Whole = name, devicePath(whole)
	} else {
		f.Disk = h.Describe(name)
		f.Name = name
	}
	f.Path = devicePath(f.Name)
	f.Sector, _ = strconv.ParseInt(h.attribute(dir+"/queue/logical_block_size"), 10, 64)
	f.Sequence, _ = strconv.ParseUint(h.attribute(dir+"/diskseq"), 10, 64)
	f.Uses, err = h.uses(f.Name)
	return f, err
}

// partition returns the kernel's name of a partition of a disk.
func (h Host) partition(name string, number int) (string, error) {
	names, err := h.names("block/" + name)
	if err != nil {
		return "", fmt.Errorf("look for partition %d of %s: %w", number, devicePath(name), err)
	}
	for _, p := range names {
		if h.attribute("block/"+name+"/"+p+"/partition") == strconv.Itoa(number) {
			return p, nil
		}
	}
	return "", fmt.Errorf("the kernel does not know partition %d of %s: start the system anew, or have the kernel read its table, with `partx --update %[2]s`", number, devicePath(name))
}

// contents describes what is on a device. A device that cannot be read is not
// described as blank.
func contents(file string, size int64) string {
	f, err := os.Open(file)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	defer f.Close()
	found, err := probe.Identify(f, size)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	return plain(probe.Describe(found))
}

// attribute reads a small file of /sys. It returns "" if there is no such file.
func (h Host) attribute(name string) string {
	text, err := fs.ReadFile(h.Sys, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func (h Host) has(name string) bool {
	_, err := fs.Stat(h.Sys, name)
	return err == nil
}

// names lists a folder of /sys. It returns nothing if there is no such folder.
func (h Host) names(dir string) (names []string, err error) {
	entries, err := fs.ReadDir(h.Sys, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// devicePath returns the file of the device with a kernel name, in which a slash is
// written as an exclamation mark.
func devicePath(name string) string {
	return filepath.Join("/dev", strings.ReplaceAll(name, "!", "/"))
}
