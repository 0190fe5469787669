package install

import (
	"cmp"
	"context"
	"fmt"

	"cloudlets/images/disk"
	"cloudlets/images/disk/probe"
	"cloudlets/images/manifest"
	"cloudlets/images/target"
	"cloudlets/provision"
)

// propose tells what will be done to the disk, and waits until it may begin. A person may
// take hours, so the disk is looked at once more after that.
func (i *installer) propose(ctx context.Context) error {
	if i.Propose == nil {
		return nil
	}
	if err := i.Propose(ctx, i.proposal()); err != nil {
		return err
	}
	for _, m := range i.members() {
		if now := probe.Contents(m.device, m.disk.Size); now != m.disk.Contents {
			return fmt.Errorf("on the disk %s there was %q when its plan was told, and now there is %q: who else writes to it?", m.disk, m.disk.Contents, now)
		}
	}
	return i.stillTheOne()
}

// proposal is what will be done to the disk.
func (i *installer) proposal() provision.Proposal {
	p := provision.Proposal{
		Disk: i.disk, Lost: i.Own.lost(i.Sys, i.disk), Image: i.plan.Image, Pack: i.plan.Pack.Digest,
		Fetch: i.plan.Pack.Size + i.plan.Overlay.Size,
	}
	if i.update != nil {
		p.Lost = "what is in slot " + i.layout.Slot.String()
		p.Notices = i.persistentChanges()
	} else if i.layout.Kept && p.Lost != "" {
		p.Lost += ", all but the persistent partition, which is kept"
	}
	if i.second != nil {
		p.Second, p.Fetch = &i.second.disk, p.Fetch+i.plan.RAMDisk.Size
		if i.update != nil && i.lacks() {
			away, why := i.members()[1-i.latest].disk.Name, cmp.Or(i.newWhy, wasAway)
			if why == isNew {
				why += ", and takes the place of the one that was in the mirror"
			}
			p.Notices = append(p.Notices, fmt.Sprintf("the disk %s %s: what stays is copied to it from %s", away, why, i.trusted().disk.Name))
			if i.ranAlone {
				p.Lost += ", and what the disk " + away + " wrote while it was alone"
			}
		}
		if lost := i.Own.lost(i.Sys, i.second.disk); i.update == nil && lost+p.Lost != "" {
			p.Lost = fmt.Sprintf("on %s: %s; on %s: %s", i.disk.Name, cmp.Or(p.Lost, "nothing"), i.second.disk.Name, cmp.Or(lost, "nothing"))
		}
	}
	for _, blob := range i.plan.BootLoaders {
		p.Fetch += blob.Size
	}
	for _, part := range i.layout.Partitions() {
		p.Layout = append(p.Layout, provision.ProposedPartition{
			Number: part.Number, Name: part.Name, Offset: part.Offset, Size: part.Size,
			Filesystem: i.filesystemOf(part), Kept: i.keeps(part),
		})
	}
	return p
}

// lacks says whether one disk of a mirror gets what stays from the other one.
func (i *installer) lacks() bool {
	return i.newDisk != "" || i.latest >= 0 && !i.holds([2]disk.Layout{i.layout, i.second.layout}, i.update.Good, 1-i.latest)
}

// persistentChanges says which persistent paths come and go with an update. It says nothing
// if that cannot be known, which does not keep the update from being made.
func (i *installer) persistentChanges() []string {
	good, err := target.GoodManifest(i.trusted().device, i.layout)
	var next *manifest.Manifest
	if err == nil {
		next, err = manifest.Parse("image "+i.plan.Image, i.plan.ImageManifest)
	}
	if err != nil {
		i.Log.Warn("it is not known which persistent paths come or go", "error", err)
		return nil
	}
	return target.PersistentChanges(good, next, i.layout)
}

// keeps says whether a partition stays as it is.
func (i *installer) keeps(p disk.Partition) bool {
	if i.update != nil {
		return p.Number != i.layout.Root.Number
	}
	return i.layout.Kept && p.Number == i.layout.Persistent.Number
}

// filesystemOf names the filesystem that is made in a partition; it is "" for one that
// gets none.
func (i *installer) filesystemOf(p disk.Partition) string {
	switch p.Number {
	case i.layout.ESP.Number:
		return "vfat"
	case i.layout.Root.Number:
		return i.plan.Target.Filesystem
	case i.layout.Persistent.Number:
		if i.update == nil && !i.layout.Kept {
			return "ext4"
		}
	}
	return ""
}
