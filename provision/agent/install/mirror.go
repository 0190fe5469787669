package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/images/disk/md"
	"cloudlets/images/disk/probe"
	"cloudlets/images/disk/slots"
	"cloudlets/provision"
	"cloudlets/provision/hardware"
)

// member is one disk of an install. There are two if the system is on a mirror.
type member struct {
	disk   provision.DiskInfo
	device *os.File
	layout disk.Layout
	writer *disk.Installer
}

// Why a disk of a mirror is made like the other one.
const (
	isNew      = "is new"
	wasAway    = "was away"
	isNotFound = "has no whole partition table"
	wasLeft    = "is as an install left it that broke off"
)

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

// makeMirrors makes the partitions of these numbers members of new mirrors. It does nothing
// on one disk.
func (i *installer) makeMirrors(parts ...disk.Partition) error {
	if i.second == nil {
		return nil
	}
	for _, p := range parts {
		if p.Size == 0 {
			continue
		}
		both := [2]disk.Partition{p, numbered(i.second.layout, p.Number)}
		name := mirrorName(i.plan.Hostname, p.Name)
		if err := disk.Mirror(both, [2]disk.Device{i.device, i.second.device}, name, i.plan.Target.ID.String(), time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// mirrorName is what people call a mirror: a host and a partition.
func mirrorName(host, part string) string {
	host, _, _ = strings.Cut(host, ".")
	return host[:min(len(host), md.MaxName-len(part)-1)] + ":" + part
}

// numbered returns the partition of a layout that has a number.
func numbered(l disk.Layout, number int) disk.Partition {
	all := l.Partitions()
	return all[slices.IndexFunc(all, func(p disk.Partition) bool { return p.Number == number })]
}

// volume returns the device file of a partition's content: on a mirror that of the array,
// which it has the kernel start.
func (i *installer) volume(ctx context.Context, p disk.Partition) (string, error) {
	if i.second == nil {
		return waitForPartition(ctx, i.disk.Name, p.Number)
	}
	if file, runs := i.arrays[p.Number]; runs {
		return file, nil
	}
	var devices []string
	current, away, err := i.current(p)
	if err != nil {
		return "", err
	}
	for _, m := range current {
		device, err := waitForPartition(ctx, m.disk.Name, p.Number)
		if err != nil {
			return "", err
		}
		devices = append(devices, device)
	}
	file, err := md.Assemble(ctx, disk.ArrayNumber(p), devices)
	if err != nil {
		return "", err
	}
	if i.arrays == nil {
		i.arrays, i.away = map[int]string{}, map[int]*member{}
	}
	i.arrays[p.Number], i.away[p.Number] = file, away
	return file, nil
}

// keepMirror starts a mirror that an update keeps, and puts the disk into it again that was away.
// The kernel copies to that what it lacks, while the machine goes on. It does nothing on one
// disk.
func (i *installer) keepMirror(ctx context.Context, p disk.Partition) error {
	if i.second == nil || p.Size == 0 {
		return nil
	}
	file, err := i.volume(ctx, p)
	if err != nil {
		return err
	}
	away := i.away[p.Number]
	if away == nil {
		return nil
	}
	there := i.members()[0]
	if there.device == away.device {
		there = *i.second
	}
	if err := i.addMember(there, *away, p.Number, file); err != nil {
		return err
	}
	i.away[p.Number] = nil
	why := wasAway
	if i.isNew(*away) {
		why = i.newWhy
	}
	i.tell(provision.Event{Kind: provision.KindLog, Text: "the disk " + away.disk.Name + " " + why + ", and is made like the other one: " + p.Name + " is copied while the machine goes on"})
	return nil
}

// fillMirrors waits until both disks have all of the good slot, which is what the boot loader
// starts, from either disk, when the trial fails: it knows nothing of members that have only a
// part. The data's mirror is completed after that, as the kernel fills one after the other, and
// in no order that is known. What starts the system goes on with it.
func (i *installer) fillMirrors(ctx context.Context) error {
	if i.second == nil || i.update == nil {
		return nil
	}
	if file, runs := i.arrays[i.layout.Other.Number]; runs {
		if err := i.awaitFilled(ctx, file, i.layout.Other.Size, md.Look); err != nil {
			return fmt.Errorf("make slot %s the same on both disks: %w", i.layout.Slot.Other(), err)
		}
	}
	return i.keepMirror(ctx, i.layout.Persistent)
}

const (
	// lookEvery is how often it is asked how far a copy is.
	lookEvery = time.Second
	// stalled is for how long a copy may make no progress. The kernel tells of it every five
	// minutes at least.
	stalled = 15 * time.Minute
)

// awaitFilled waits until all members of a mirror of about size bytes are in use. Look is
// [md.Look].
func (i *installer) awaitFilled(ctx context.Context, file string, size int64, look func(string) (md.State, error)) error {
	told, moved, last := i.progress(), time.Now(), int64(-1)
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for first := true; ; first = false {
		if err := i.wholeMirrors(look); err != nil {
			return err
		}
		state, err := look(file)
		if err != nil || state.Active >= state.Places {
			return err
		}
		if first {
			i.tell(provision.Event{Kind: provision.KindLog, Text: "the system that the machine has is copied to the disk that lacks it, before the new one may be started"})
		}
		told(min(state.Copied, size), size)
		if state.Copied != last {
			moved, last = time.Now(), state.Copied
		}
		if silent := time.Since(moved); silent > stalled {
			return fmt.Errorf("for %s the kernel has copied nothing, after %s of %s: see to the disks, and install again", silent.Round(time.Second), bytesize.Decimal(state.Copied), bytesize.Decimal(size))
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// current returns the disks of a mirror whose members in a partition have its latest content,
// and the one that was away, or nil.
func (i *installer) current(p disk.Partition) (current []member, away *member, err error) {
	all := i.members()
	var members []md.Member
	for _, m := range all {
		if i.isNew(m) && p.Number != i.layout.Root.Number { // it has none yet
			members = append(members, md.Member{})
			continue
		}
		sb, err := numbered(m.layout, p.Number).Member(m.device)
		if err != nil {
			return nil, nil, fmt.Errorf("look at the mirror %s on %s: %w", p.Name, m.disk.Name, err)
		}
		members = append(members, sb)
	}
	which := md.CurrentOn(members, i.latest)
	for n, m := range all {
		if slices.Contains(which, n) {
			current = append(current, m)
		} else {
			away = &m
		}
	}
	if len(current) == 0 {
		return nil, nil, fmt.Errorf("start the mirror %s: neither of the disks %s has all of its content", p.Name, i.names())
	}
	return current, away, nil
}

// addMember puts a disk that was away into a mirror that runs, as a new one: what is in its
// partition does not count.
func (i *installer) addMember(there, away member, number int, file string) error {
	fellow, err := numbered(there.layout, number).Member(there.device)
	if err != nil {
		return err
	}
	p := numbered(away.layout, number)
	part := io.NewOffsetWriter(away.device, p.Offset)
	if err := md.Write(part, p.Size, fellow.Replacement(uuid.New(), p.Size)); err != nil {
		return err
	}
	if err := away.device.Sync(); err != nil {
		return err
	}
	return md.Add(file, hardware.PartitionPath(away.disk.Name, number))
}

// wholeMirrors returns an error unless each mirror that runs has both disks: the kernel goes on
// with one if a write to the other fails. A disk that was away and that is being filled is not
// missing. Look is [md.Look].
func (i *installer) wholeMirrors(look func(file string) (md.State, error)) error {
	for _, number := range slices.Sorted(maps.Keys(i.arrays)) {
		state, err := look(i.arrays[number])
		if err != nil {
			return err
		}
		if len(state.Failed) == 0 && state.Active+state.Filling >= state.Places {
			continue
		}
		lost := "one of the disks " + i.names()
		for _, m := range i.members() {
			if slices.Contains(state.Failed, filepath.Base(hardware.PartitionPath(m.disk.Name, number))) {
				lost = "the disk " + m.disk.String()
			}
		}
		return fmt.Errorf("the mirror %s has lost %s, as the kernel could not write it: its log says why; see to the disk and its cable, and install again", filepath.Base(i.arrays[number]), lost)
	}
	return nil
}

// stopArrays stops all mirrors that run.
func (i *installer) stopArrays(ctx context.Context) error {
	var errs []error
	for number, file := range i.arrays {
		err := md.Stop(ctx, file)
		if err == nil {
			delete(i.arrays, number)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
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
