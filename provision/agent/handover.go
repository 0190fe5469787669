package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/provision"
)

// newRoot is where the agent mounts the root filesystem that it writes.
const newRoot = "/newroot"

// handOver lets go of the machine. It returns only with an error. The disk is
// complete by now and the machine disarmed, so what cannot be handed over
// directly takes the way through the firmware.
func handOver(plan provision.Plan, result Result, console *console) error {
	err := checkKernel(plan)
	switch {
	case err != nil: // only by way of the firmware
	case plan.Handover == provision.Switch:
		err = switchRoot(newRoot, plan.Init)
	case plan.Handover == provision.Kexec:
		err = kexec(result)
	case plan.Handover == provision.PowerOff:
		return errors.Join(unmount(newRoot), powerOff())
	}
	if err != nil {
		console.say("%v", err)
		console.say("the disk is complete: rebooting into it in ten seconds")
		time.Sleep(10 * time.Second)
	}
	if err := unmount(newRoot); err != nil {
		console.say("%v (it is synced, and the journal does the rest)", err)
	}
	return reboot()
}

// checkKernel refuses a switch where the image got another kernel between the
// boot script and the claim: the disk has no modules for the one that runs.
func checkKernel(plan provision.Plan) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil || plan.Handover != provision.Switch {
		return nil
	}
	if running := unix.ByteSliceToString(name.Release[:]); running != plan.Kernels[0].Version {
		return fmt.Errorf("kernel %s runs, and the disk has %s: the image was changed meanwhile", running, plan.Kernels[0].Version)
	}
	return nil
}

// switchRoot makes root the root filesystem and becomes init: what util-linux
// calls switch_root. The RAM disk's files go, so that their memory is free.
func switchRoot(root, init string) error {
	if err := checkInit(root, init); err != nil {
		return err
	}
	for _, m := range []string{"dev", "proc", "sys", "run"} {
		target := filepath.Join(root, m)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return fmt.Errorf("make a place for /%s in the new root: %w", m, err)
		}
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

// checkInit makes sure, while there is a way back, that the new system begins
// with a program: the kernel panics when process 1 ends.
func checkInit(root, init string) error {
	tree, err := images.NewDirSource(root)
	if err != nil {
		return err
	}
	name, err := images.Resolve(tree, init)
	if err != nil {
		return fmt.Errorf("find the new system's first program: %w", err)
	}
	if e, err := tree.Entry(name); err != nil || e.Type != images.Regular || e.Mode&0o111 == 0 {
		return errors.Join(fmt.Errorf("%s of the new system is no program", init), err)
	}
	return nil
}

// freeRAMDisk removes what the RAM disk holds. The running program keeps its
// own pages until it is replaced. Only what lies on the RAM disk's own
// filesystem is touched: nothing below a mount point, and nothing at all where
// the root is no RAM disk.
func freeRAMDisk(root string) {
	var ram unix.Stat_t
	var kind unix.Statfs_t
	if os.Getpid() != 1 || unix.Lstat("/", &ram) != nil || unix.Statfs("/", &kind) != nil {
		return
	}
	if kind.Type != unix.RAMFS_MAGIC && kind.Type != unix.TMPFS_MAGIC {
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
	if err := kexecLoad(result); err != nil {
		return err
	}
	if err := unmount(newRoot); err != nil {
		return err
	}
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_KEXEC)
}

func kexecLoad(result Result) error {
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
	return nil
}
