// Package process1 has what every first process of a machine needs. It mounts
// /dev, /proc and the like ([MountEarly]), reads the kernel's command line
// ([Cmdline]), writes to all consoles ([Consoles]), and starts the init of a new
// root in its place ([SwitchRoot]).
package process1

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// gcPercent makes the collector run more often than Go's default of 100 does.
const gcPercent = 50

// BoundMemory keeps this process's heap within limit, in bytes, as far as that is possible:
// memory is short on a machine that has its root, or an image, in memory.
func BoundMemory(limit int64) {
	debug.SetMemoryLimit(limit)
	debug.SetGCPercent(gcPercent)
}

// earlyMounts are the filesystems that every program expects.
var earlyMounts = []earlyMount{
	{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"},
	{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""},
	// Mode and size are those of systemd. Without them everyone could write to
	// /run, and fill half of the memory.
	{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755,size=20%"},
}

type earlyMount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

// mount mounts the filesystem below root, which is "" for the running system's.
func (m earlyMount) mount(root string) error {
	return unix.Mount(m.source, root+m.target, m.kind, m.flags, m.data)
}

// MountEarly mounts /dev, /proc, /sys and /run, unless they are mounted already.
func MountEarly() error {
	for _, m := range earlyMounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil {
			return err
		}
		if err := m.mount(""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
		}
	}
	return nil
}

// MountMissing mounts those of /dev, /proc and /sys that are not mounted, on a root
// that is not a RAM disk. Undo unmounts them again, since the system's own init
// expects the mounts as the kernel left them.
func MountMissing() (undo func(), err error) {
	var mounted []string
	undo = func() {
		for _, target := range slices.Backward(mounted) {
			_ = unix.Unmount(target, unix.MNT_DETACH) // if this fails, init mounts its own on top
		}
	}
	for _, m := range earlyMounts[:3] {
		_ = os.Mkdir(m.target, 0o755) // it usually exists; if it cannot be made, the mount fails
		if mountPoint(m.target) {
			continue
		}
		if err := m.mount(""); err != nil {
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

// WaitForEntropy waits until the kernel's random numbers are good. It must use a
// call that blocks: only then does a kernel without another source gather entropy
// from the jitter of its clock, which takes about a second.
func WaitForEntropy() error {
	for {
		_, err := unix.Getrandom(make([]byte, 1), 0)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// maxSync bounds how long a restart waits until everything is on the disks. One that does
// not answer must not keep the machine.
const maxSync = 30 * time.Second

// syncBounded writes everything to the disks, as far as they take it in time.
func syncBounded() {
	done := make(chan struct{})
	go func() {
		unix.Sync()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(maxSync):
	}
}

// Reboot restarts the machine by its firmware. It returns only with an error.
func Reboot() error {
	syncBounded()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

// PowerOff switches the machine off. It returns only with an error.
func PowerOff() error {
	syncBounded()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
