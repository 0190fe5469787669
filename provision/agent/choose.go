package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/provision"
	"cloudlets/provision/hardware"
)

// newInstaller selects and opens the disk. It returns an error if the disk
// must not be written, or does not suit the plan.
func newInstaller(ctx context.Context, job Job) (*installer, error) {
	if job.Log == nil {
		job.Log = slog.New(slog.DiscardHandler)
	}
	if job.HTTP == nil {
		job.HTTP = http.DefaultClient
	}
	if job.Sys == nil {
		job.Sys = os.DirFS("/sys")
	}
	i := &installer{Job: job, plan: job.Plan, server: newClient(job.Server, job.Log)}
	i.HTTP = counted(job.HTTP, &i.fetched)
	i.server.session, i.server.http = job.Plan.Session, i.HTTP
	if len(i.plan.Target.Entries) == 0 {
		return i, errors.New("the plan has no kernel to boot the disk with: the server should not have given it out")
	}
	var err error
	if i.disk, err = provision.SelectDisk(i.plan.Disk, job.Inventory.Disks); err != nil {
		return i, err
	}
	if !i.mayKeep() {
		if err := i.mayOverwrite(); err != nil {
			return i, err
		}
	}
	return i, i.openDisk(ctx)
}

// mayKeep says whether the install keeps what is on the disk, if that is an earlier
// install with something to keep.
func (i *installer) mayKeep() bool {
	return !i.plan.Wipe && (i.plan.Target.Slots || i.plan.Target.Persistent > 0)
}

// mayOverwrite refuses a disk that is not empty, unless the plan allows its
// contents to be lost, or they are what an earlier attempt of this agent wrote, or
// what the machine keeps of them stays.
func (i *installer) mayOverwrite() error {
	switch {
	case i.disk.Contents == "" || i.plan.Wipe || i.Own.has(i.Sys, i.disk) || i.update != nil || i.mayKeep() && i.layout.Kept:
		return nil
	}
	return fmt.Errorf("the disk %s is not empty: %s; if all of that may be lost, arm the install with `cloudlets install %s --wipe`; if not, call it off with `cloudlets install %[3]s --cancel`", i.disk, i.disk.Contents, i.plan.MAC)
}

// openDisk opens the selected disk, examines it, and lays it out. It examines
// the disk although the inventory describes it, since the name may mean
// another disk by now. The open file always means the same disk.
func (i *installer) openDisk(ctx context.Context) error {
	device, err := openDisk(hardware.DevicePath(i.disk.Name))
	if err != nil {
		return fmt.Errorf("open the disk %s: %w", i.disk, err)
	}
	i.device = device
	if err := i.examine(ctx); err != nil {
		return errors.Join(err, device.Close())
	}
	i.writer = disk.NewInstaller(device, i.layout)
	now := i.disk.Contents
	if now == "" {
		now = "nothing"
	}
	i.tell(provision.Event{Kind: provision.KindLog, Text: "will write " + i.disk.String(), Reason: "it is the disk that the plan selects; on it now: " + now,
		Facts: map[string]string{"disk": i.disk.String()}})
	return nil
}

func (i *installer) examine(ctx context.Context) error {
	if err := checkSame(i.Sys, i.disk); err != nil {
		return err
	}
	i.disk.Contents = contentsOf(i.device, i.disk.Size)
	sector, err := unix.IoctlGetInt(int(i.device.Fd()), unix.BLKSSZGET)
	if err != nil {
		return fmt.Errorf("ask %s for its sector size: %w", i.disk.Name, err)
	}
	if !i.mayKeep() {
		if err := i.mayOverwrite(); err != nil {
			return err
		}
	}
	if err := i.layOut(ctx, int64(sector)); err != nil {
		return fmt.Errorf("the disk %s does not suit: %w", i.disk, err)
	}
	if err := i.mayOverwrite(); err != nil {
		return err
	}
	if err := checkFirmware(i.Sys, i.layout); err != nil {
		return err
	}
	i.warnOfOrder()
	return nil
}

// layOut plans the partitions of the disk and the filesystem of a new
// persistent partition. It first looks for what the plan keeps: two slots of an earlier
// install, or its persistent partition.
func (i *installer) layOut(ctx context.Context, sector int64) error {
	if i.mayKeep() {
		if i.plan.Target.Slots {
			if found, err := i.findSlots(sector); found || err != nil {
				return err
			}
		}
		i.plan.Target.Keep = i.plan.Target.Persistent > 0 && disk.Ours(i.device, i.disk.Size, sector)
	}
	var kept *disk.Partition
	if i.plan.Target.Keep {
		p, err := disk.FindPersistent(i.device, i.disk.Size, sector)
		if err != nil {
			return err
		}
		kept = &p
	}
	var err error
	if i.layout, err = i.plan.Target.Layout(i.disk.Size, sector, kept); err != nil {
		return err
	}
	i.persistent, err = i.plan.Target.PersistentFilesystem(ctx, i.layout, time.Now(), true)
	return err
}

// stillTheOne lists the disks again and refuses if the plan does not select
// the same disk any more. A disk that appeared late may suit the plan as well,
// and then the plan does not say which one to write.
func (i *installer) stillTheOne() error {
	if i.Disks == nil {
		return nil
	}
	now, err := i.Disks()
	if err != nil {
		return err
	}
	chosen, err := provision.SelectDisk(i.plan.Disk, now)
	if err != nil {
		return err
	}
	if chosen.Name != i.disk.Name || chosen.Serial != i.disk.Serial || chosen.Size != i.disk.Size {
		return fmt.Errorf("the plan selects %s now, and selected %s before: name the disk by its serial in machines/%s.json", chosen, i.disk, i.plan.MAC)
	}
	return nil
}
