package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/boot"
	"cloudlets/images/disk/slots"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/agent/install"
	"cloudlets/provision/process1"
	"cloudlets/provision/wire"
)

// handOver hands the machine over to the system on its disk, in the way that
// the plan says. It returns only with an error. If kexec or the switch of the
// root fails, it reboots instead, since the disk is complete by now and the
// machine disarmed.
func handOver(plan wire.Plan, result install.Result, console *console) error {
	if result.Rollback {
		if plan.Handover == provision.PowerOff {
			return process1.PowerOff()
		}
		return process1.Reboot()
	}
	err := checkKernel(plan)
	switch {
	case err != nil: // reboot below
	case plan.Handover == provision.Switch:
		// The files were written without access times, and the system keeps the mount.
		err = errors.Join(process1.RelativeAccessTimes(process1.NewRoot), process1.SwitchRoot(process1.NewRoot, plan.Init, trialWords(result)...))
	case plan.Handover == provision.Kexec:
		err = kexec(result)
	case plan.Handover == provision.PowerOff:
		return errors.Join(install.Unmount(process1.NewRoot), process1.PowerOff())
	}
	if err != nil {
		console.say("%v", err)
		console.say("the disk is complete: rebooting into it in ten seconds")
		time.Sleep(10 * time.Second)
	}
	if err := install.Unmount(process1.NewRoot); err != nil {
		console.say("%v (it is synced, and the journal does the rest)", err)
	}
	return process1.Reboot()
}

// trialWords are what the system is told that it would be told by its boot loader.
func trialWords(result install.Result) []string {
	if result.Beside {
		return []string{target.TrialWord}
	}
	return nil
}

// kexecWords are what the kernel is told that it would be told by its boot loader.
func kexecWords(result install.Result) string {
	if result.Beside {
		return slots.TrialWords
	}
	return ""
}

// checkKernel refuses to switch the root if the image got another kernel after
// the machine fetched its boot script and before it claimed its plan. The disk
// then has no modules for the running kernel.
func checkKernel(plan wire.Plan) error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil || plan.Handover != provision.Switch {
		return nil
	}
	if running := unix.ByteSliceToString(name.Release[:]); running != plan.Target.Entries[0].Version {
		return fmt.Errorf("kernel %s runs, and the disk has %s: the image was changed meanwhile", running, plan.Target.Entries[0].Version)
	}
	return nil
}

// kexec starts the default entry of the disk's boot menu without the firmware.
// It returns only with an error.
func kexec(result install.Result) error {
	if err := kexecLoad(result); err != nil {
		return err
	}
	if err := install.Unmount(process1.NewRoot); err != nil {
		return err
	}
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_KEXEC)
}

func kexecLoad(result install.Result) error {
	kernel, err := os.Open(filepath.Join(process1.NewRoot, result.Kernel.Kernel))
	if err != nil {
		return fmt.Errorf("kexec: %w", err)
	}
	defer kernel.Close()
	initrd, flags := -1, unix.KEXEC_FILE_NO_INITRAMFS
	if result.Kernel.Initrd != "" {
		file, err := os.Open(filepath.Join(process1.NewRoot, result.Kernel.Initrd))
		if err != nil {
			return fmt.Errorf("kexec: %w", err)
		}
		defer file.Close()
		initrd, flags = int(file.Fd()), 0
	}
	if err := unix.KexecFileLoad(int(kernel.Fd()), initrd, boot.JoinWords(result.Kernel.Cmdline, kexecWords(result)), flags); err != nil {
		return fmt.Errorf("load %s for kexec: %w (the kernel needs CONFIG_KEXEC_FILE; use \"handover\": \"reboot\")", result.Kernel.Kernel, err)
	}
	return nil
}
