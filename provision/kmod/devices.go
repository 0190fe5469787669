package kmod

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// deviceFolders are where /sys lists devices: those on each bus, those of each class, and the
// processors. The devices themselves are in a tree that has some hundred other files for each
// processor, which takes seconds to walk on a large machine.
var deviceFolders = []string{"bus/*/devices", "class/*", "devices/system"}

// devices finds the aliases of devices. It reads each device once: a device that comes back
// under the same name has another inode.
type devices struct {
	sys  string            // /sys
	seen map[string]uint64 // inodes, by the names of devices
}

// fresh returns the aliases of devices that have come since it was called last.
func (d *devices) fresh() (map[string]bool, error) {
	var st unix.Stat_t
	if err := unix.Stat(d.sys, &st); err != nil {
		return nil, fmt.Errorf("look for devices in %s: %w", d.sys, err)
	}
	found := map[string]bool{}
	for _, pattern := range deviceFolders {
		folders, err := filepath.Glob(filepath.Join(d.sys, pattern))
		if err != nil {
			return nil, fmt.Errorf("look for devices: %w", err)
		}
		for _, folder := range folders {
			list, err := readFolder(folder)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // a bus may go meanwhile
				return nil, fmt.Errorf("look for devices in %s: %w", folder, err)
			}
			for _, e := range list {
				name := folder + "/" + e.name
				if d.seen[name] == e.inode {
					continue
				}
				if text, ok := readAttribute(name + "/modalias"); ok {
					found[text] = true
				}
				d.seen[name] = e.inode
			}
		}
	}
	return found, nil
}

// entry is a name in a folder.
type entry struct {
	name  string
	inode uint64
}

// readFolder lists a folder. What package os has does not tell the inodes, which Linux tells
// with the names (getdents64(2)).
func readFolder(name string) (list []entry, err error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(fd, buf)
		if err != nil || n == 0 {
			return list, err
		}
		for rest := buf[:n]; len(rest) > 19; {
			size := int(binary.NativeEndian.Uint16(rest[16:]))
			if size <= 19 || size > len(rest) {
				return nil, fmt.Errorf("the kernel tells an entry of %d bytes", size)
			}
			text, _, _ := strings.Cut(string(rest[19:size]), "\x00")
			if text != "." && text != ".." {
				list = append(list, entry{text, binary.NativeEndian.Uint64(rest)})
			}
			rest = rest[size:]
		}
	}
}

// readAttribute reads a file of /sys, which has a line of at most a page. Most devices have no
// alias.
func readAttribute(name string) (string, bool) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	var page [4096]byte
	n, err := unix.Read(fd, page[:])
	if err != nil || n <= 0 {
		return "", false
	}
	return strings.TrimSpace(string(page[:n])), true
}
