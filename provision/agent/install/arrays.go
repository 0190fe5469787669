package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/images/disk/md"
	"cloudlets/provision"
	"cloudlets/provision/hardware"
)

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
