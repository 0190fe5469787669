// Package process1 is what the first process of a machine does, whatever else
// it is for: it mounts what any program expects, reads what the kernel was
// told, and makes a new root the root of the running kernel.
package process1

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// earlyMounts are what any program expects to find.
var earlyMounts = []struct {
	source, target, kind string
	flags                uintptr
}{
	{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID},
	{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV},
}

// MountEarly mounts them, save those that are mounted already.
func MountEarly() error {
	for _, m := range earlyMounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
		}
	}
	return nil
}

// MountMissing mounts /dev, /proc and /sys where nothing is mounted there, on a
// root that is not a RAM disk's. Undo takes them away again: the system's own
// first program expects what the kernel left.
func MountMissing() (undo func(), err error) {
	var mounted []string
	undo = func() {
		for _, target := range slices.Backward(mounted) {
			_ = unix.Unmount(target, unix.MNT_DETACH) // what it mounts itself goes on top
		}
	}
	for _, m := range earlyMounts[:3] {
		_ = os.Mkdir(m.target, 0o755) // which is most often there; if not, the mount says so
		if mountPoint(m.target) {
			continue
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return undo, fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
		}
		mounted = append(mounted, m.target)
	}
	return undo, nil
}

// mountPoint says whether something is mounted on a directory of the root.
func mountPoint(dir string) bool {
	var root, at unix.Stat_t
	return unix.Stat("/", &root) == nil && unix.Stat(dir, &at) == nil && at.Dev != root.Dev
}

// Cmdline reads the command line of the running kernel. /proc must be mounted.
func Cmdline() (string, error) {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return "", fmt.Errorf("read the kernel's command line: %w", err)
	}
	return string(line), nil
}

// WaitForEntropy waits until the kernel's random numbers are good. It has to be
// this call, which blocks: only then does a kernel that has no other source
// gather entropy from the jitter of its own clock, which takes about a second.
func WaitForEntropy() error {
	for {
		_, err := unix.Getrandom(make([]byte, 1), 0)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Reboot restarts the machine by its firmware. It returns only with an error.
func Reboot() error {
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

// PowerOff switches the machine off. It returns only with an error.
func PowerOff() error {
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
