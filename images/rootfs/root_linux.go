package rootfs

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Sync waits until the directory's whole filesystem is on its disk.
func (r *Root) Sync() error { return unix.Syncfs(r.fd) }

// Device returns the name of the block device under the directory, e.g.
// "/dev/sda3". If there is no name, it returns the device number.
func (r *Root) Device() string {
	var st unix.Stat_t
	if err := unix.Fstat(r.fd, &st); err != nil {
		return "an unknown device"
	}
	number := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	uevent, err := os.ReadFile("/sys/dev/block/" + number + "/uevent")
	if err != nil {
		return "device " + number
	}
	for line := range strings.Lines(string(uevent)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "DEVNAME="); ok {
			return "/dev/" + name
		}
	}
	return "device " + number
}
