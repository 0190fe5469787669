package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/images/disk/probe"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
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
	i := &installer{Job: job, plan: job.Plan, server: client.New(job.Server, job.Log)}
	i.HTTP = counted(job.HTTP, &i.fetched)
	i.server.Session, i.server.HTTP = job.Plan.Session, i.HTTP
	if len(i.plan.Target.Entries) == 0 {
		return i, errors.New("the plan has no kernel to boot the disk with: the server should not have given it out")
	}
	disks, err := i.choose(job.Inventory.Disks)
	if err != nil {
		return i, err
	}
	i.disk = disks[0]
	if len(disks) > 1 {
		i.second = &member{disk: disks[1]}
	}
	if err := i.mayRun(); err != nil {
		return i, err
	}
	if !i.mayKeep() {
		if err := i.mayOverwrite(); err != nil {
			return i, err
		}
	}
	return i, i.openDisks(ctx)
}

// choose returns the disk that the plan selects, or the two of a mirror.
func (i *installer) choose(disks []provision.DiskInfo) ([]provision.DiskInfo, error) {
	if i.plan.Target.Mirror {
		both, err := provision.SelectMirror(i.plan.Disk, disks)
		return both[:], err
	}
	one, err := provision.SelectDisk(i.plan.Disk, disks)
	return []provision.DiskInfo{one}, err
}

// mayKeep says whether the plan wants kept what an earlier install has on the disk. Whether
// there is any is for the disk to show.
func (i *installer) mayKeep() bool {
	return !i.plan.Wipe && (i.plan.Target.Slots || i.plan.Target.Persistent > 0)
}

// mayOverwrite refuses a disk that is not empty, unless the plan allows its
// contents to be lost, or they are what an earlier attempt of this agent wrote, or
// what the machine keeps of them stays.
func (i *installer) mayOverwrite() error {
	if i.plan.Wipe || i.update != nil || i.mayKeep() && i.layout.Kept {
		return nil
	}
	for _, m := range i.members() {
		if m.disk.Contents != "" && !i.Own.has(i.Sys, m.disk) {
			return fmt.Errorf("the disk %s is not empty: %s; if all of that may be lost, arm the install with `cloudlets install %s --wipe`; if not, call it off with `cloudlets install %[3]s --cancel`", m.disk, m.disk.Contents, i.plan.MAC)
		}
	}
	return nil
}

// openDisks opens the selected disks, examines them, and lays them out. It examines
// a disk although the inventory describes it, since the name may mean
// another disk by now. The open file always means the same disk.
func (i *installer) openDisks(ctx context.Context) error {
	var err error
	if i.device, err = i.openDisk(i.disk); err != nil {
		return fmt.Errorf("open the disk %s: %w", i.disk, err)
	}
	if i.second != nil {
		if i.second.device, err = i.openDisk(i.second.disk); err != nil {
			return errors.Join(fmt.Errorf("open the disk %s: %w", i.second.disk, err), i.closeDisks())
		}
	}
	if err := i.examine(ctx); err != nil {
		return errors.Join(err, i.closeDisks())
	}
	i.writer = i.newWriter(member{disk: i.disk, device: i.device, layout: i.layout})
	if i.second != nil {
		i.second.writer = i.newWriter(*i.second)
	}
	for _, m := range i.members() {
		i.tell(provision.Event{Kind: provision.KindLog, Text: "will write " + m.disk.String(), Reason: "the plan selects it; on it now: " + cmp.Or(m.disk.Contents, "nothing"),
			Facts: map[string]string{"disk": i.disk.String()}})
	}
	return nil
}

// openDisk opens a disk that is to be written. Nothing uses it, except the running system
// that is updated.
func (i *installer) openDisk(d provision.DiskInfo) (*os.File, error) {
	if i.Running != nil {
		return openSharedDisk(hardware.DevicePath(d.Name))
	}
	return openDisk(hardware.DevicePath(d.Name))
}

func (i *installer) closeDisks() error {
	err := i.device.Close()
	if i.second != nil && i.second.device != nil {
		err = errors.Join(err, i.second.device.Close())
	}
	return err
}

func (i *installer) examine(ctx context.Context) error {
	sector, err := examineDisk(i.Sys, &i.disk, i.device)
	if err != nil {
		return err
	}
	if i.second != nil {
		other, err := examineDisk(i.Sys, &i.second.disk, i.second.device)
		if err != nil {
			return err
		}
		if other != sector {
			return fmt.Errorf("the disks %s and %s cannot be a mirror: the sectors of one have %d bytes, and those of the other %d", i.disk, i.second.disk, sector, other)
		}
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
	if err := i.suitsRunning(ctx); err != nil {
		return err
	}
	if err := checkFirmware(i.Sys, i.layout); err != nil {
		return err
	}
	i.warnOfOrder()
	return nil
}

// examineDisk looks at an open disk, whose contents it notes, and returns the length of its
// sectors in bytes.
func examineDisk(sys fs.FS, d *provision.DiskInfo, device *os.File) (sector int, err error) {
	if err := checkSame(sys, *d); err != nil {
		return 0, err
	}
	d.Contents = probe.Contents(device, d.Size)
	if sector, err = unix.IoctlGetInt(int(device.Fd()), unix.BLKSSZGET); err != nil {
		return 0, fmt.Errorf("ask %s for its sector size: %w", d.Name, err)
	}
	return sector, nil
}

// layOut plans the partitions of the disk and the filesystem of a new
// persistent partition. It first looks for what the plan keeps: two slots of an earlier
// install, or its persistent partition.
func (i *installer) layOut(ctx context.Context, sector int64) error {
	if i.second != nil {
		return i.layOutMirror(ctx, sector)
	}
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
	chosen, err := i.choose(now)
	if err != nil {
		return err
	}
	for n, m := range i.members() {
		if d := chosen[n]; d.Name != m.disk.Name || d.Serial != m.disk.Serial || d.Size != m.disk.Size {
			return fmt.Errorf("the plan selects %s now, and selected %s before: name the disk by its serial in machines/%s.json", d, m.disk, i.plan.MAC)
		}
	}
	return nil
}
