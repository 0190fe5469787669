package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"cloudlets/images/disk"
	"cloudlets/images/disk/md"
	"cloudlets/images/disk/slots"
	"cloudlets/provision"
)

// member is one disk of an install. There are two if the system is on a mirror.
type member struct {
	disk   provision.DiskInfo
	device *os.File
	layout disk.Layout
	writer *disk.Installer
}

// members returns the disks of the install, the one that the machine starts from first.
func (i *installer) members() []member {
	all := []member{{i.disk, i.device, i.layout, i.writer}}
	if i.second != nil {
		all = append(all, *i.second)
	}
	return all
}

// names names the disks, for a person.
func (i *installer) names() string {
	if i.second != nil {
		return i.disk.Name + " and " + i.second.disk.Name
	}
	return i.disk.Name
}

// layOutMirror plans the partitions of both disks of a mirror, or finds those of an earlier
// install.
func (i *installer) layOutMirror(ctx context.Context, sector int64) error {
	i.latest = -1
	if i.mayKeep() {
		if found, err := i.findMirror(sector); found || err != nil {
			return err
		}
	}
	both, err := i.plan.Target.Layout(min(i.disk.Size, i.second.disk.Size), sector, nil)
	if err != nil {
		return err
	}
	if i.second.layout, err = both.Second(i.second.disk.Size); err != nil {
		return err
	}
	i.layout = both.Resized(i.disk.Size)
	i.persistent, err = i.plan.Target.PersistentFilesystem(ctx, i.layout, time.Now(), true)
	return err
}

// findMirror looks for the mirror of an earlier install. If the disks have it, the install
// is an update, as in [installer.findSlots].
func (i *installer) findMirror(sector int64) (found bool, err error) {
	var layouts [2]disk.Layout
	var missing []int
	for n, m := range i.members() {
		layouts[n], err = disk.FindMirror(m.device, m.disk.Size, sector)
		switch {
		case errors.Is(err, disk.ErrNoMirror):
			missing = append(missing, n)
		case err != nil:
			return false, fmt.Errorf("%s: %w", m.disk.Name, err)
		}
		layouts[n].Arch = i.plan.Target.Arch
	}
	switch len(missing) {
	case 2:
		return false, nil
	case 1:
		err = i.replaces(missing[0], &layouts)
	default:
		err = i.remakesUnfinished(&layouts)
	}
	if err != nil {
		return false, err
	}
	state, err := i.mirrorState(layouts)
	if err != nil {
		return false, err
	}
	i.judge(layouts, state)
	i.remakeAway(&layouts, state)
	if i.newDisk != "" && !i.holds(layouts, state.Good, i.latest) {
		return false, fmt.Errorf("the disk %s has only a part of the machine's system or data, and %s %s: put the disk back that has all, or install both anew with `cloudlets install %s --wipe`, which loses what is persistent",
			i.trusted().disk, i.newDisk, i.newWhy, i.plan.MAC)
	}
	for n := range layouts {
		layouts[n] = layouts[n].In(state.Good.Other())
	}
	if err := sameMirror(layouts); err != nil {
		return false, fmt.Errorf("%w; or install both disks anew with `cloudlets install %s --wipe`, which loses what is persistent", err, i.plan.MAC)
	}
	if i.plan.Rollback == "" {
		for n := range layouts {
			layouts[n] = i.plan.Target.NewArray(layouts[n])
		}
	}
	i.layout, i.second.layout, i.update = layouts[0], layouts[1], &state
	return true, i.checkUpdate()
}

// sameMirror returns an error unless what stays on two disks is of the same mirrors, in the
// same places.
func sameMirror(layouts [2]disk.Layout) error {
	a, b := layouts[0], layouts[1]
	for _, pair := range [][2]disk.Partition{{a.Other, b.Other}, {a.Persistent, b.Persistent}} {
		if pair[0].Array != pair[1].Array || pair[0].Size > 0 && pair[0].Array == "" {
			return fmt.Errorf("the partitions %s of the two disks are not of one mirror (%q and %q; one that is \"\" has no superblock that can be read); if one disk counts, empty the other one, and install again", pair[0].Name, pair[0].Array, pair[1].Array)
		}
	}
	if a.Root.Offset != b.Root.Offset || a.Root.Size != b.Root.Size || a.ESP.Offset != b.ESP.Offset {
		return errors.New("the two disks have their partitions in different places")
	}
	return nil
}

// mirrorState reads which slot is good. The two disks may differ: power was cut between the
// writes to one and to the other, or one was away for a while.
func (i *installer) mirrorState(layouts [2]disk.Layout) (slots.State, error) {
	var states [2]slots.State
	var errs [2]error
	all := i.members()
	for n, m := range all {
		if i.isNew(m) {
			state, err := slots.Read(all[1-n].device, layouts[1-n].ESP.Offset)
			if err != nil {
				err = i.unknownState(err)
			}
			return state, err
		}
	}
	for n, m := range all {
		states[n], errs[n] = slots.Read(m.device, layouts[n].ESP.Offset)
	}
	if errs[0] != nil && errs[1] != nil {
		return slots.State{}, i.unknownState(errors.Join(errs[:]...))
	}
	for n, err := range errs {
		if err != nil { // it could not be written either
			return slots.State{}, fmt.Errorf("the disk %s does not say which of its systems is good: %w; copy the partition %d of %s to that of %[1]s, which is the same, or replace the disk",
				all[n].disk.Name, err, layouts[n].ESP.Number, all[1-n].disk.Name)
		}
	}
	good := states[0].Good
	if latest := i.superblocks(layouts, good).Latest(); latest >= 0 {
		return states[latest], nil
	}
	return agreed(states), nil
}

// superblocks returns the members of the mirrors on both disks, with the weight that they have
// for what starts the system: first the data, and then the slots, the good one first.
func (i *installer) superblocks(layouts [2]disk.Layout, good slots.Name) md.Disks {
	var d md.Disks
	for n, l := range layouts {
		layouts[n] = l.In(good)
	}
	for _, row := range [][]md.Member{
		i.row(layouts[0].Persistent, layouts[1].Persistent), i.row(layouts[0].Root, layouts[1].Root), i.row(layouts[0].Other, layouts[1].Other),
	} {
		if row[0].ID == row[1].ID {
			d = append(d, row)
		}
	}
	return d
}

// row returns the members of a mirror in a partition of each disk. One that is not there, or
// cannot be read, is the zero Member.
func (i *installer) row(parts ...disk.Partition) []md.Member {
	row := make([]md.Member, len(parts))
	for n, m := range i.members() {
		if sb, err := parts[n].Member(m.device); err == nil {
			row[n] = sb
		}
	}
	return row
}

// judge notes which disk counts if the two differ, and whether the other one has run without it.
// It is done once: when the mirrors run, the kernel changes the superblocks.
func (i *installer) judge(layouts [2]disk.Layout, state slots.State) {
	for n, m := range i.members() {
		if i.isNew(m) {
			i.latest = 1 - n
			return
		}
	}
	d := i.superblocks(layouts, state.Good)
	i.latest, i.ranAlone = d.Latest(), false
	if i.latest < 0 {
		return
	}
	for _, row := range d {
		away := row[1-i.latest]
		i.ranAlone = i.ranAlone || away.Places > 0 && len(away.Missing()) > 0
	}
}

// trusted is the disk that has what counts: the first one, unless only the other one has the
// latest content.
func (i *installer) trusted() member { return i.members()[max(i.latest, 0)] }

// agreed returns the state that counts, of those on the two disks of a mirror, of which neither
// was away. They differ if power was cut while a state was written to both.
//
// If it was that of a system that was accepted, one disk says so: its good slot is the one that
// the other disk still has on trial. Then the system is accepted. In all other cases both name
// the same slot as good, and the first disk counts.
func agreed(states [2]slots.State) slots.State {
	if states[1].Trial == "" && states[0].Trial == states[1].Good {
		return states[1]
	}
	return states[0]
}

// writeState writes which slot is started, to both disks of a mirror. The one that the
// machine starts from comes last. Between the two writes the disks differ, and whichever
// the machine starts from, it starts a whole system; see [agreed] for what counts then.
func (i *installer) writeState(s slots.State) error {
	for _, m := range slices.Backward(i.members()) {
		if i.isNew(m) && !i.newIsBootable { // it has no place for a state yet
			continue
		}
		if err := slots.Write(m.device, m.layout.ESP.Offset, m.layout.Sector, s); err != nil {
			return fmt.Errorf("%s: %w", m.disk.Name, err)
		}
	}
	return nil
}

// commitDisks makes the disks bootable, the first one last. If that fails for one, none is.
func (i *installer) commitDisks(ctx context.Context) error {
	all := i.members()
	for n, m := range slices.Backward(all) {
		err := m.writer.Commit(ctx)
		if err == nil {
			continue
		}
		err = fmt.Errorf("%s: %w", m.disk.Name, err)
		for _, done := range all[n+1:] {
			err = errors.Join(err, done.writer.Undo(context.WithoutCancel(ctx)))
		}
		return err
	}
	return nil
}
