package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloudlets/images/disk"
	"cloudlets/images/disk/md"
	"cloudlets/images/disk/probe"
	"cloudlets/images/disk/slots"
)

// Why a disk of a mirror is made like the other one.
const (
	isNew      = "is new"
	wasAway    = "was away"
	isNotFound = "has no whole partition table"
	wasLeft    = "is as an install left it that broke off"
)

// replaces has a disk take the place of one that was beside the other: the disk is empty, or is
// as an earlier install left it that broke off while it did the same.
func (i *installer) replaces(n int, layouts *[2]disk.Layout) error {
	all := i.members()
	m, there := all[n], all[1-n]
	part := strings.HasPrefix(m.disk.Contents, probe.PartOfMirror)
	switch {
	case i.plan.Rollback != "":
		return i.noRollback(m)
	case m.disk.Contents != "" && !part:
		return fmt.Errorf("of the disks %s only %s has the machine's mirror, and %s is not empty: %s; put the disk back that was there, or an empty one, which becomes a part of the mirror; or install both anew with `cloudlets install %s --wipe`, which loses what is persistent",
			i.names(), there.disk.Name, m.disk, m.disk.Contents, i.plan.MAC)
	case !disk.IsFound(there.device, layouts[1-n].Size, layouts[1-n].Sector):
		return i.notFound(there)
	}
	l, err := layouts[1-n].Replacement(m.disk.Size, i.plan.Target.ID.String())
	if err != nil {
		return fmt.Errorf("the new disk %s is too small for the mirror on %s: %w", m.disk, there.disk.Name, err)
	}
	layouts[n], i.newDisk, i.newWhy = l, m.disk.Name, isNew
	if part {
		i.newWhy = wasLeft
		return i.isOurs(m, l)
	}
	return nil
}

// isOurs returns an error if a partition of a disk is a part of another mirror's data.
func (i *installer) isOurs(m member, l disk.Layout) error {
	if had, err := l.Persistent.Member(m.device); l.Persistent.Size > 0 && err == nil && had.ID.String() != l.Persistent.Array {
		return fmt.Errorf("the disk %s has data of another mirror, %s: put the disk back that was there, or empty this one, if nothing on it is wanted", m.disk, had.ID)
	}
	return nil
}

// remakesUnfinished has a disk made from scratch whose partitions no kernel finds: power was cut
// while its table was written, or the table is damaged. The other disk must be found, and must
// have what is latest.
func (i *installer) remakesUnfinished(layouts *[2]disk.Layout) error {
	all := i.members()
	for n, m := range all {
		if disk.IsFound(m.device, layouts[n].Size, layouts[n].Sector) {
			continue
		}
		there := layouts[1-n]
		if !disk.IsFound(all[1-n].device, there.Size, there.Sector) {
			return i.notFound(m)
		}
		if i.plan.Rollback != "" {
			return i.noRollback(m)
		}
		state, err := slots.Read(all[1-n].device, there.ESP.Offset)
		if err != nil {
			return i.unknownState(err)
		}
		i.judge(*layouts, state)
		if i.latest == n {
			return i.notFound(m)
		}
		had, has := layouts[n].Persistent, there.Persistent
		if had.Size == 0 {
			had, has = layouts[n].In(state.Good).Root, there.In(state.Good).Root
		}
		if had.Array != "" && had.Array != has.Array {
			return fmt.Errorf("the disk %s is of another mirror than %s: put the disk back that was there, or empty this one, if nothing on it is wanted", m.disk, all[1-n].disk.Name)
		}
		i.remake(layouts, n, isNotFound)
	}
	return nil
}

// notFound is the error for a disk that counts, and whose partitions no kernel finds.
func (i *installer) notFound(m member) error {
	return fmt.Errorf("the disk %s has no whole partition table, and the other disk cannot stand in for it: write the table anew from its backup (by sgdisk, in a rescue system), or install both disks anew with `cloudlets install %s --wipe`, which loses what is persistent", m.disk, i.plan.MAC)
}

// noRollback is the error for a roll-back of a mirror of which a disk is not a part.
func (i *installer) noRollback(m member) error {
	return fmt.Errorf("go back to the system before: the disk %s is no part of the machine's mirror: put the disk back that was there, or make the mirror whole with `cloudlets install %s`", m.disk, i.plan.MAC)
}

// remakeAway has a disk that was away made from scratch, as one that is new. It would have only
// a part of the good slot while it is filled, and nothing must start from it then.
func (i *installer) remakeAway(layouts *[2]disk.Layout, state slots.State) {
	if i.latest < 0 || i.newDisk != "" || i.plan.Rollback != "" {
		return
	}
	if away := 1 - i.latest; i.holds(*layouts, state.Good, i.latest) && !i.holds(*layouts, state.Good, away) {
		i.remake(layouts, away, wasAway)
	}
}

// remake has a disk made from scratch, with the partitions that it has, as a part of the mirrors
// of the other one.
func (i *installer) remake(layouts *[2]disk.Layout, n int, why string) {
	l, there := &layouts[n], layouts[1-n]
	l.Kept, l.Root.Array, l.Other.Array, l.Persistent.Array = false, there.Root.Array, there.Other.Array, there.Persistent.Array
	i.newDisk, i.newWhy = i.members()[n].disk.Name, why
}

// holds says whether a disk has all of the latest data, and of the good slot. What is in the
// other slot does not matter, as it is written anew.
func (i *installer) holds(layouts [2]disk.Layout, good slots.Name, n int) bool {
	for _, row := range [][]md.Member{
		i.row(layouts[0].Persistent, layouts[1].Persistent), i.row(layouts[0].In(good).Root, layouts[1].In(good).Root),
	} {
		if i.isNew(i.members()[1-n]) || row[0].ID != row[1].ID { // the other one does not count
			row[1-n] = md.Member{}
		}
		if there := row[0].Places > 0 || row[1].Places > 0; there && !slices.Contains(md.CurrentOn(row, i.latest), n) {
			return false
		}
	}
	return true
}

// isNew says whether a disk is made from scratch, beside one of a mirror that stays.
func (i *installer) isNew(m member) bool { return i.newDisk != "" && m.disk.Name == i.newDisk }

// newWriter writes what makes a disk bootable.
func (i *installer) newWriter(m member) *disk.Installer {
	if i.isNew(m) {
		return disk.NewPartInstaller(m.device, m.layout)
	}
	return disk.NewInstaller(m.device, m.layout)
}

// newMember is the disk that is made from scratch; ok is false if none is.
func (i *installer) newMember() (m member, ok bool) {
	for _, m := range i.members() {
		if i.isNew(m) {
			return m, true
		}
	}
	return member{}, false
}

// clearNew erases the partition table of a disk that is made from scratch. It has none before the
// very end, so that nothing starts from it that is not whole. What a disk that was away has in
// its partitions goes when it is overwritten, and not before: it may be the last copy.
func (i *installer) clearNew(ctx context.Context) error {
	m, ok := i.newMember()
	if !ok {
		return nil
	}
	erase := m.writer.Undo
	if i.newWhy == isNew {
		erase = m.writer.Clear
	}
	if err := erase(ctx); err != nil {
		return fmt.Errorf("%s: %w", m.disk.Name, err)
	}
	return nil
}

// prepareNew puts the boot loaders on a disk that is made from scratch. They start the good slot,
// once the disk is bootable.
func (i *installer) prepareNew(ctx context.Context) error {
	m, ok := i.newMember()
	if !ok {
		return nil
	}
	err := m.writer.Prepare(ctx, i.slotContents())
	if err == nil {
		err = slots.Write(m.device, m.layout.ESP.Offset, m.layout.Sector, slots.Accepted(i.update.Good))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", m.disk.Name, err)
	}
	return nil
}

// commitNew makes a disk bootable that was made from scratch, and that has all of the good slot.
func (i *installer) commitNew(ctx context.Context) error {
	m, ok := i.newMember()
	if !ok {
		return nil
	}
	if err := m.writer.Commit(ctx); err != nil {
		return fmt.Errorf("%s: %w", m.disk.Name, err)
	}
	i.newIsBootable = true
	return nil
}
