package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/provision/hardware"
)

// An update in place: the system that is updated runs meanwhile, see [Job.Running].

// sectorSize is the unit of /sys/block, whatever the disk's sectors are.
const sectorSize = 512

// mayRun says why the plan cannot be carried out while the disk is in use.
func (i *installer) mayRun() error {
	if i.Running == nil {
		return nil
	}
	anew := fmt.Sprintf("the machine has to start from the network for that, e.g. by cloudlets install %s --power", i.plan.MAC)
	switch {
	case i.second != nil || i.Running.Mirror != "":
		return errors.New("the system is on two disks, as a mirror, and an update in place writes only one: " + anew)
	case i.plan.Wipe:
		return errors.New("the install was armed with --wipe, and the system runs from the disk: " + anew + " --wipe")
	case hardware.DevicePath(i.disk.Name) != i.Running.File:
		return fmt.Errorf("the plan is for the disk %s, and this system was started from %s: %s", i.disk, i.Running.File, anew)
	}
	return nil
}

// suitsRunning says why the disk, as it is, is not one whose running system can be updated.
func (i *installer) suitsRunning(ctx context.Context) error {
	if i.Running == nil {
		return nil
	}
	switch {
	case i.update == nil:
		return fmt.Errorf("the disk has no two slots for systems, so this system is in the place of the new one: the machine has to start from the network, e.g. by cloudlets install %s --power --wipe, which loses what is on it", i.plan.MAC)
	case i.update.Good != i.Running.Slot:
		return fmt.Errorf("this system is in slot %s, and slot %s has the good one: start that first, from the boot menu; one that is on trial is accepted by itself", strings.ToUpper(string(i.Running.Slot)), strings.ToUpper(string(i.update.Good)))
	}
	if i.plan.Rollback != "" {
		return nil // nothing is written into a slot
	}
	if err := i.sameInKernel(i.layout.Root); err != nil {
		return err
	}
	file, err := i.volume(ctx, i.layout.Root)
	if err != nil {
		return err
	}
	// The kernel refuses this while the slot is mounted.
	claim, err := os.OpenFile(file, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		return fmt.Errorf("slot %s is in use, unmount it: %w", strings.ToUpper(string(i.layout.Slot)), err)
	}
	return claim.Close()
}

// sameInKernel checks that the kernel knows a partition as the table has it. The kernel
// cannot be told of partitions while the disk is in use.
func (i *installer) sameInKernel(p disk.Partition) error {
	part := path.Base(hardware.PartitionPath(i.disk.Name, p.Number))
	for name, want := range map[string]int64{"start": p.Offset, "size": p.Size} {
		text := hardware.Attribute(i.Sys, "block/"+i.disk.Name+"/"+part+"/"+name)
		got, err := strconv.ParseInt(text, 10, 64)
		if err != nil || got*sectorSize != want {
			return fmt.Errorf("the kernel knows partition %d of %s with the %s %q, and its table says %d bytes: restart the machine", p.Number, i.disk.Name, name, text, want)
		}
	}
	return nil
}

// bindRoot shows the running system's own filesystem in a directory, read only, and without
// what is mounted on it.
func bindRoot(dir string) error {
	if err := unix.Mount("/", dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("show the running system in %s: %w", dir, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
		return errors.Join(fmt.Errorf("show the running system in %s read only: %w", dir, err), Unmount(dir))
	}
	return nil
}
