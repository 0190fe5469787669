package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/slots"
	"cloudlets/provision"
)

// rollback puts the system in the plan's slot on trial, unless the machine starts that one
// already. It writes nothing else.
func (i *installer) rollback(ctx context.Context) (Result, error) {
	result := Result{Disk: i.disk, Rollback: true, Beside: i.update != nil}
	if i.update == nil {
		return result, fmt.Errorf("go back to the system before: the disk %s has no two slots for systems (nothing was written)", i.disk)
	}
	to := slots.Name(i.plan.Rollback)
	if !to.Valid() {
		return result, fmt.Errorf("go back to the system before: a disk has no slot %q (nothing was written)", string(to))
	}
	l := i.layout.In(to)
	if i.Running == nil || to != i.Running.Slot { // a system that runs is whole
		if err := i.hasSystem(ctx, l); err != nil {
			return result, fmt.Errorf("go back to the system in slot %s of %s: %w (nothing was written)", to, i.disk, err)
		}
	}
	if err := i.permitted(ctx, "start slot "+to.String()+" of "+i.names()); err != nil {
		return result, err
	}
	state := slots.State{Good: to.Other(), Trial: to, Left: slots.Tries}
	if i.update.Good == to {
		state = slots.Accepted(to)
	}
	if err := i.writeState(state); err != nil {
		return result, err
	}
	result.Undo = i.undoFlip
	result.Report = provision.Report{Slot: string(to)}
	return result, nil
}

// undoFlip has the machine start what it started before. It is for an end that the server
// refused to record.
func (i *installer) undoFlip() error {
	var errs []error
	for _, m := range slices.Backward(i.members()) {
		dev, err := i.openDisk(m.disk)
		if err == nil {
			err = errors.Join(slots.Write(dev, m.layout.ESP.Offset, m.layout.Sector, slots.Accepted(i.update.Good)), dev.Close())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// hasSystem returns an error if the layout's Root is not a whole system. An update that was
// broken off has no boot menu.
func (i *installer) hasSystem(ctx context.Context, l disk.Layout) error {
	device, err := i.volume(ctx, l.Root)
	if err != nil {
		return errors.Join(err, i.stopArrays(ctx))
	}
	if err := os.MkdirAll(i.Target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(device, i.Target, i.plan.Target.Filesystem, unix.MS_RDONLY|unix.MS_NOATIME|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
		return errors.Join(fmt.Errorf("it has no system: mount %s: %w", device, err), i.stopArrays(ctx))
	}
	_, err = os.Lstat(filepath.Join(i.Target, bootloader.SlotMenuPath))
	if failed := errors.Join(Unmount(i.Target), i.stopArrays(ctx)); failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("it has no whole system: %w", err)
	}
	return nil
}
