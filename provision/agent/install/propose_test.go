package install

import (
	"context"
	"errors"
	"strings"
	"testing"

	"cloudlets/provision"
)

// TestAPlanIsToldBeforeTheFirstWrite, with all that a person wants to know, and a disk
// that changes while the agent waits is not written.
func TestAPlanIsToldBeforeTheFirstWrite(t *testing.T) {
	b, d := newFaultBed(t)
	before := hashFile(t, d.file)
	var told provision.Proposal
	b.job.Propose = func(_ context.Context, p provision.Proposal) error {
		told = p
		if hashFile(t, d.file) != before {
			t.Error("the disk was written to before its plan was told")
		}
		return errors.New("ann said no")
	}
	b.wantFailure(t, "ann said no", "nothing was written")
	want := b.job.Plan
	if told.Disk.Name != d.info.Name || told.Lost != "" || told.Image != want.Image || told.Pack != want.Pack.Digest || told.Fetch <= want.Pack.Size {
		t.Errorf("the plan is %+v", told)
	}
	if text := told.String(); !strings.Contains(text, "2 esp ") || !strings.Contains(text, " vfat") || !strings.Contains(text, "3 root ") || !strings.Contains(text, " ext4") {
		t.Errorf("its partitions are told as %s", text)
	}
	b.job.Propose = func(context.Context, provision.Proposal) error {
		tool(t, "e2fsprogs", "mkfs.ext4", "-q", "-F", "-L", "precious", d.device)
		return nil
	}
	b.wantFailure(t, "precious", "who else writes to it", "nothing was written")
	b.job.Plan.Wipe = true
	b.job.Propose = func(_ context.Context, p provision.Proposal) error {
		told = p
		return nil
	}
	b.install(t)
	if !strings.Contains(told.Lost, "precious") {
		t.Errorf("what is lost is told as %q", told.Lost)
	}
}

// TestAFurtherAttemptProposesTheSame: what the agent itself left on the disk is no news
// for a person.
func TestAFurtherAttemptProposesTheSame(t *testing.T) {
	b, _ := newFaultBed(t)
	b.job.Own = &Own{}
	var digests []string
	b.job.Propose = func(_ context.Context, p provision.Proposal) error {
		digests = append(digests, p.Digest())
		return nil
	}
	b.job.Permit = func(context.Context, string) error { return errors.New("broken off") }
	b.wantFailure(t, "broken off")
	b.job.Permit = nil
	b.install(t)
	if len(digests) != 2 || digests[0] != digests[1] {
		t.Errorf("the attempts propose %q", digests)
	}
}
