package media

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"cloudlets/cmd/cloudlets/heap"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images/disk"
	"cloudlets/images/disk/device"
	"cloudlets/images/pause"
	"cloudlets/images/target"
	"cloudlets/provision/preinit"
	"cloudlets/provision/trial"
)

// ownSystem is the running system, on a disk with two slots.
type ownSystem struct {
	trial.Disk
	on   target.SlotDisk
	file *os.File // the disk, open for reading
}

// runUpdate updates the running system, or has the one before started.
func (f *updateFlags) runUpdate(cmd *cobra.Command, args []string) error {
	heap.Save()
	own, err := f.findOwn(cmd.Context())
	if err != nil {
		return err
	}
	defer own.file.Close()
	if f.rollback {
		err = f.runRollback(cmd, own)
	} else {
		err = f.disk.update(cmd, args, own.on, own.file, func(u *target.Update, write func(disk.Device) error) error {
			return f.commit(cmd.Context(), own, "image "+args[0], write)
		})
	}
	if err != nil || f.disk.dryRun {
		return err
	}
	return f.startAgain(cmd)
}

// findOwn finds the disk that the running system is on.
func (f *updateFlags) findOwn(ctx context.Context) (own ownSystem, err error) {
	fail := func(err error) (ownSystem, error) { return own, fmt.Errorf("update the running system: %w", err) }
	own.Disk, err = preinit.SlotOf("/")
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fail(fmt.Errorf("%w: run this as root, e.g. with sudo", err))
	case err != nil:
		return fail(fmt.Errorf("it is not in a slot of a disk with two: %w; `cloudlets disk IMAGE --slots 2` makes such a disk", err))
	}
	if own.Mirror != "" {
		return fail(fmt.Errorf("it is on the two disks %s and %s, as a mirror: only `cloudlets install` on its server writes to both", own.File, own.Mirror))
	}
	f.disk.out.Out = own.File
	facts, err := f.disk.device.onHost().Look(own.File)
	if err != nil {
		return fail(err)
	}
	if own.file, err = os.Open(own.File); err != nil {
		return fail(err)
	}
	// Two updates at once would write the same slot. The kernel ends the lock with the file.
	if err = lockDevice(ctx, own.file); err != nil {
		own.file.Close()
		return fail(fmt.Errorf("another program, an update maybe, has locked %s: try again when it has ended: %w", own.File, err))
	}
	if own.on, err = target.ReadSlots(own.file, facts.Capacity(), own.Sector); err == nil {
		err = own.check()
	}
	if err != nil {
		own.file.Close()
		return fail(err)
	}
	f.sayHostname()
	return own, nil
}

// lockDevice takes the lock of a disk that programs take who change it, and udev when it
// looks at it, which is soon over.
func lockDevice(ctx context.Context, file *os.File) error {
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if pause.For(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// check says why the running system cannot be updated now: only the good one can.
func (own ownSystem) check() error {
	state := own.on.State
	switch {
	case own.Slot == state.Good:
		return nil
	case own.Slot == state.Trial && state.Left > 0:
		return fmt.Errorf("it is in slot %s, and on trial: wait until it is accepted, which its console says", own.Slot)
	}
	return fmt.Errorf("it is in slot %s, and slot %s has the good system: start that first, from the boot menu", own.Slot, state.Good)
}

// sayHostname lets templates see the running system's hostname, unless the command line
// has another one.
func (f *updateFlags) sayHostname() {
	for _, word := range f.disk.config.Env {
		if strings.HasPrefix(word, "hostname=") {
			return
		}
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		f.disk.config.Env = append(f.disk.config.Env, "hostname="+name)
	}
}

// commit arms the running system's disk for its other slot, and has write change it.
func (f *updateFlags) commit(ctx context.Context, own ownSystem, what string, write func(disk.Device) error) error {
	flags := f.disk.device
	flags.policy = device.Policy{Running: true}
	l := own.on.Layout
	return flags.updateArmed(ctx, device.Request{Path: own.File, Size: l.Size, What: what, Slot: &l.Root}, device.OwnDisk{}, l, write)
}

// runRollback has the next start try the system in the other slot.
func (f *updateFlags) runRollback(cmd *cobra.Command, own ownSystem) error {
	l := own.on.Layout
	if !own.on.Beside {
		return fmt.Errorf("go back to the system in slot %s: there is no whole system in it", l.Slot)
	}
	if !f.disk.dryRun {
		if err := f.commit(cmd.Context(), own, "nothing", func(dev disk.Device) error { return l.Try(dev) }); err != nil {
			return err
		}
	}
	if f.disk.asJSON {
		return printing.JSON(cmd.OutOrStdout(), summary{Out: own.File, Format: "raw", Size: l.Size, Slot: string(l.Slot)})
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "the next start tries the system in slot %s, and slot %s stays until that has proved itself\n", l.Slot, l.Slot.Other())
	return err
}

// startAgain restarts the machine as its own init does it, or says that a person may.
func (f *updateFlags) startAgain(cmd *cobra.Command) error {
	if !f.restart {
		if f.disk.asJSON {
			return nil
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "restart the machine to try it")
		return err
	}
	if out, err := exec.CommandContext(cmd.Context(), "reboot").CombinedOutput(); err != nil {
		return fmt.Errorf("restart the machine: reboot: %w: %s; what was written is tried at its next start", err, strings.TrimSpace(string(out)))
	}
	return nil
}
