package install

import (
	"context"
	"errors"
	"testing"

	"cloudlets/provision"
)

// TestNothingGoesOverACloudletByItself: a server that lost its state takes every
// machine for new, and "install": "once" must not erase them all.
func TestNothingGoesOverACloudletByItself(t *testing.T) {
	b, d := newFaultBed(t)
	b.install(t)
	if err := Unmount(b.job.Target); err != nil {
		t.Fatal(err)
	}
	before := hashFile(t, d.file)
	b.wantFailure(t, "not empty", "cloudlets install "+string(testMAC)+" --wipe", "nothing was written")
	if hashFile(t, d.file) != before {
		t.Error("the installed cloudlet was written to")
	}
	b.job.Plan.Wipe = true
	b.install(t)
}

// TestInstallAsksBeforeFirstAndLastWrite: a person may take the install back
// at any time.
func TestInstallAsksBeforeFirstAndLastWrite(t *testing.T) {
	takenBack := errors.New("ann took it back")
	t.Run("before the first", func(t *testing.T) {
		b, d := newFaultBed(t)
		before := hashFile(t, d.file)
		b.job.Propose = func(context.Context, provision.Proposal) error { return takenBack }
		b.wantFailure(t, "ann took it back", "nothing was written")
		if hashFile(t, d.file) != before {
			t.Error("the disk was written to")
		}
	})
	t.Run("before the last", func(t *testing.T) {
		b, d := newFaultBed(t)
		b.job.Permit = func(context.Context, string) error { return takenBack }
		b.wantFailure(t, "ann took it back", "bootable")
		d.wantUnbootable(t)
	})
}

// TestInstallListsTheDisksOnceMore: a disk that came late makes "the only
// disk" two.
func TestInstallListsTheDisksOnceMore(t *testing.T) {
	b, d := newFaultBed(t)
	before := hashFile(t, d.file)
	b.job.Plan.Disk = provision.DiskHints{}
	late := d.info
	late.Name, late.Serial = "vdz", "LATE"
	b.job.Disks = func() ([]provision.DiskInfo, error) { return []provision.DiskInfo{d.info, late}, nil }
	b.wantFailure(t, "LATE", "nothing was written")
	b.job.Disks = func() ([]provision.DiskInfo, error) { return []provision.DiskInfo{late}, nil }
	b.wantFailure(t, "selected "+d.info.Name, "nothing was written")
	if hashFile(t, d.file) != before {
		t.Error("the disk was written to")
	}
}
