package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/provision"
)

// newRoot is where the agent mounts the root filesystem that it writes.
const newRoot = "/newroot"

// handOver lets go of the machine. It returns only with an error.
func handOver(plan provision.Plan, result Result, log *slog.Logger) error {
	switch plan.Handover {
	case provision.Switch:
		return switchRoot(newRoot, plan.Init)
	case provision.Kexec:
		return kexec(result)
	case provision.PowerOff:
		return errors.Join(unmountRoot(log), powerOff())
	default:
		return errors.Join(unmountRoot(log), reboot())
	}
}

func unmountRoot(log *slog.Logger) error {
	if err := unix.Unmount(newRoot, 0); err != nil {
		log.Warn("the new root could not be unmounted", "error", err)
		return nil // it is synced; the journal does the rest
	}
	return nil
}

// switchRoot makes root the root filesystem and becomes init: what util-linux
// calls switch_root. The RAM disk's files go, so that their memory is free.
func switchRoot(root, init string) error {
	for _, m := range []string{"dev", "proc", "sys", "run"} {
		target := filepath.Join(root, m)
		if err := unix.Mount("/"+m, target, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move /%s to the new root: %w", m, err)
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	freeRAMDisk(root)
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("make %s the root: %w", root, err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("change root to the new system: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	err := unix.Exec(init, []string{init}, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux", "HOME=/"})
	return fmt.Errorf("start %s of the new system: %w", init, err)
}

// freeRAMDisk removes what the RAM disk holds. The running program keeps its
// own pages until it is replaced. Only what lies on the RAM disk's own
// filesystem is touched: nothing below a mount point.
func freeRAMDisk(root string) {
	var ram unix.Stat_t
	if unix.Lstat("/", &ram) != nil {
		return
	}
	removeOn("/", ram.Dev, root)
}

func removeOn(dir string, dev uint64, keep string) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range names {
		name := filepath.Join(dir, entry.Name())
		var st unix.Stat_t
		if unix.Lstat(name, &st) != nil || st.Dev != dev || name == keep {
			continue
		}
		if entry.IsDir() {
			removeOn(name, dev, keep)
		}
		_ = os.Remove(name)
	}
}

// kexec starts the installed disk's default entry without the firmware.
func kexec(result Result) error {
	kernel, err := os.Open(filepath.Join(newRoot, result.Kernel.Kernel))
	if err != nil {
		return fmt.Errorf("kexec: %w", err)
	}
	defer kernel.Close()
	initrd, flags := -1, unix.KEXEC_FILE_NO_INITRAMFS
	if result.Kernel.Initrd != "" {
		file, err := os.Open(filepath.Join(newRoot, result.Kernel.Initrd))
		if err != nil {
			return fmt.Errorf("kexec: %w", err)
		}
		defer file.Close()
		initrd, flags = int(file.Fd()), 0
	}
	if err := unix.KexecFileLoad(int(kernel.Fd()), initrd, strings.TrimSpace(result.Kernel.Cmdline), flags); err != nil {
		return fmt.Errorf("load %s for kexec: %w (the kernel needs CONFIG_KEXEC_FILE; use \"handover\": \"reboot\")", result.Kernel.Kernel, err)
	}
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_KEXEC)
}
