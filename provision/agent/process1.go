package agent

import (
	"errors"
	"fmt"
	"os"

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

func mountEarly() error {
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

// waitForEntropy waits until the kernel's random numbers are good. It has to be
// this call, which blocks: only then does a kernel that has no other source
// gather entropy from the jitter of its own clock, which takes about a second.
func waitForEntropy() error {
	for {
		_, err := unix.Getrandom(make([]byte, 1), 0)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func reboot() error {
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

func powerOff() error {
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
