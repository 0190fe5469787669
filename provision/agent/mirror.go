package agent

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
	var missing []string
	for n, m := range i.members() {
		layouts[n], err = disk.FindMirror(m.device, m.disk.Size, sector)
		switch {
		case errors.Is(err, disk.ErrNoMirror):
			missing = append(missing, m.disk.Name)
		case err != nil:
			return false, fmt.Errorf("%s: %w", m.disk.Name, err)
		}
		layouts[n].Arch = i.plan.Target.Arch
	}
	switch len(missing) {
	case 2:
		return false, nil
	case 1:
		return false, fmt.Errorf("of the disks %s only one has the machine's mirror, and %s has not: put the disk back that was there, or copy the partitions and add the members by mdadm; or install both anew with `cloudlets install %s --wipe`, which loses what is persistent",
			i.names(), missing[0], i.plan.MAC)
	}
	state, err := i.mirrorState(layouts)
	if err != nil {
		return false, err
	}
	for n := range layouts {
		layouts[n] = layouts[n].In(state.Good.Other())
	}
	if err := sameMirror(layouts); err != nil {
		return false, fmt.Errorf("%w; install both disks anew with `cloudlets install %s --wipe`, which loses what is persistent", err, i.plan.MAC)
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
			return fmt.Errorf("the partitions %s of the two disks are not of one mirror (%q and %q)", pair[0].Name, pair[0].Array, pair[1].Array)
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
	for n, m := range i.members() {
		states[n], errs[n] = slots.Read(m.device, layouts[n].ESP.Offset)
	}
	switch {
	case errs[0] != nil && errs[1] != nil:
		return slots.State{}, i.unknownState(errors.Join(errs[:]...))
	case errs[0] != nil:
		return states[1], nil
	case errs[1] != nil:
		return states[0], nil
	}
	var members [2][]md.Member
	for n, m := range i.members() {
		for _, p := range []disk.Partition{layouts[n].Persistent, layouts[n].Root, layouts[n].Other} {
			member, err := p.Member(m.device)
			if err != nil {
				member = md.Member{} // there is none, or it is lost
			}
			members[n] = append(members[n], member)
		}
	}
	return agreed(states, members), nil
}

// agreed returns the state that counts, of those on the two disks of a mirror, by the
// members that the disks have of each array.
//
// The state of a disk that was away counts less. Without that, power was cut while a state
// was written to both. If it was that of a system that was accepted, it is so by the disk
// that says so, since its slot is good and the other disk still has it on trial. In all
// other cases both name the same slot as good.
func agreed(states [2]slots.State, members [2][]md.Member) slots.State {
	for n, a := range members[0] {
		b := members[1][n]
		if a.ID != b.ID || a.ID == uuid.Nil {
			continue
		}
		if current := md.Current([]md.Member{a, b}); len(current) == 1 {
			return states[current[0]]
		}
	}
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
	current, _, err := i.current(p)
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
		i.arrays = map[int]string{}
	}
	i.arrays[p.Number] = file
	return file, nil
}

// completeMirrors starts the mirrors that an update keeps, and puts those members into them
// again that were away. The kernel copies them what they lack while the machine goes on. It
// does nothing on one disk.
func (i *installer) completeMirrors(ctx context.Context) error {
	if i.second == nil {
		return nil
	}
	for _, p := range []disk.Partition{i.layout.Other, i.layout.Persistent} {
		if p.Size == 0 {
			continue
		}
		file, err := i.volume(ctx, p)
		if err != nil {
			return err
		}
		current, away, err := i.current(p)
		if err != nil {
			return err
		}
		for _, m := range away {
			if err := i.addMember(current[0], m, p.Number, file); err != nil {
				return err
			}
			i.tell(provision.Event{Kind: provision.KindLog, Text: "the disk " + m.disk.Name + " was away, and is made like the other one: " + p.Name + " is copied while the machine goes on"})
		}
	}
	return nil
}

// current returns the disks of a mirror whose members in a partition have its latest
// content, and those that were away.
func (i *installer) current(p disk.Partition) (current, away []member, err error) {
	all := i.members()
	var members []md.Member
	for _, m := range all {
		sb, err := numbered(m.layout, p.Number).Member(m.device)
		if err != nil {
			return nil, nil, fmt.Errorf("look at the mirror %s on %s: %w", p.Name, m.disk.Name, err)
		}
		members = append(members, sb)
	}
	which := md.Current(members)
	for n, m := range all {
		if slices.Contains(which, n) {
			current = append(current, m)
		} else {
			away = append(away, m)
		}
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
	return md.Add(file, partitionPath(away.disk.Name, number))
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
			if slices.Contains(state.Failed, filepath.Base(partitionPath(m.disk.Name, number))) {
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
