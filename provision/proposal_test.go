package provision_test

import (
	"errors"
	"strings"
	"testing"

	"cloudlets/provision"
)

func someProposal() provision.Proposal {
	return provision.Proposal{
		Disk: provision.DiskInfo{Name: "sda", Serial: "S4EW", Model: "970 PRO", Size: 8 << 30, Contents: "ext4 \"precious\""},
		Lost: "ext4 \"precious\"", Image: "web", Pack: "sha256:1234", Fetch: 1e6,
		Layout: []provision.ProposedPartition{{Number: 3, Name: "root", Filesystem: "ext4", Offset: 1 << 20, Size: 7 << 30}},
	}
}

// TestWhatIsConfirmed: a plan is the same if the kernel gives the disk another name, and
// another one if anything differs that a person wants to know.
func TestWhatIsConfirmed(t *testing.T) {
	digest := someProposal().Digest()
	for name, c := range map[string]struct {
		change func(*provision.Proposal)
		same   bool
	}{
		"another name":      {func(p *provision.Proposal) { p.Disk.Name, p.Disk.ByPath = "sdb", "pci-1" }, true},
		"a further attempt": {func(p *provision.Proposal) { p.Disk.Contents = "what the first one left" }, true},
		"another overlay":   {func(p *provision.Proposal) { p.Fetch++ }, true},
		"another disk":      {func(p *provision.Proposal) { p.Disk.Serial = "T5" }, false},
		"a nameless disk":   {func(p *provision.Proposal) { p.Disk.Serial = "" }, false},
		"more is lost":      {func(p *provision.Proposal) { p.Lost = "xfs" }, false},
		"paths that go":     {func(p *provision.Proposal) { p.Notices = []string{"/srv will not be persistent any more"} }, false},
		"another content":   {func(p *provision.Proposal) { p.Pack = "sha256:5" }, false},
		"another image":     {func(p *provision.Proposal) { p.Image = "db" }, false},
		"another layout":    {func(p *provision.Proposal) { p.Layout[0].Kept = true }, false},
	} {
		p := someProposal()
		if c.change(&p); (p.Digest() == digest) != c.same {
			t.Errorf("%s: the same plan is %t, want %t", name, !c.same, c.same)
		}
	}
	one, two := someProposal(), someProposal()
	one.Disk.Serial, two.Disk.Serial, two.Disk.Name = "", "", "sdb"
	if one.Digest() == two.Digest() {
		t.Error("of disks without serial number, each is taken for the other")
	}
}

func TestWhoWaitsForAPerson(t *testing.T) {
	p, other := someProposal(), someProposal()
	other.Disk.Serial = "T5"
	s := fold(
		provision.Event{Kind: provision.KindArmed, By: "ann", Confirm: true},
		provision.Event{Kind: provision.KindClaim, Stage: provision.StageAgent},
		provision.Event{Kind: provision.KindPlan, Stage: provision.StageConfirm, Proposal: &p},
	)
	if !s.Confirm || !s.Waits(p) || s.Waits(other) || !s.Installing() || s.CheckConfirm(p.Digest()) != nil {
		t.Fatalf("a machine that waits: %+v", s)
	}
	if err := s.CheckConfirm(other.Digest()); !errors.Is(err, provision.ErrNotWaiting) || !strings.Contains(err.Error(), "cloudlets machines") {
		t.Errorf("a plan that was not shown is confirmed: %v", err)
	}
	if c := s.Clone(); &c.Proposal.Layout[0] == &s.Proposal.Layout[0] {
		t.Error("a clone shares the plan")
	}
	s = provision.Fold(s, provision.Event{MAC: mac, Kind: provision.KindConfirm, By: "bob", Digest: p.Digest()})
	for _, e := range []provision.Event{
		{Kind: provision.KindStage, Stage: provision.StagePartition},
		{Kind: provision.KindFailed, Text: "the disk broke"},
		{Kind: provision.KindClaim, Stage: provision.StageAgent},
	} {
		e.MAC = mac
		s = provision.Fold(s, e)
	}
	if s.Confirmed != p.Digest() || !s.Confirm || s.Proposal != nil {
		t.Errorf("the next attempt begins with %+v: what was confirmed stays so, and is told anew", s)
	}
	if err := s.CheckConfirm(p.Digest()); !errors.Is(err, provision.ErrNotWaiting) {
		t.Errorf("one that does not wait is confirmed: %v", err)
	}
	for _, end := range []provision.Event{{Kind: provision.KindDone}, {Kind: provision.KindDisarmed, By: "ann"}, {Kind: provision.KindArmed, By: "ann"}} {
		end.MAC = mac
		if s := provision.Fold(s, end); s.Confirm || s.Confirmed != "" || s.ConfirmedBy != "" {
			t.Errorf("after %s the next install finds %+v", end.Kind, s)
		}
	}
}

func TestAProposalIsBounded(t *testing.T) {
	p := provision.Proposal{Lost: strings.Repeat("x\x1b", 5000), Layout: make([]provision.ProposedPartition, 999), Notices: make([]string, 999)}
	p.Notices[0] = p.Lost
	e := provision.Event{Proposal: &p}.Bounded()
	if n := e.Proposal.Notices; len(n) > 8 || len(n[0]) > 1024 || strings.Contains(n[0], "\x1b") || p.Notices[0] != p.Lost {
		t.Errorf("%d notices are kept, the first with %d bytes; what was given has %d", len(n), len(n[0]), len(p.Notices[0]))
	}
	if len(e.Proposal.Layout) > 16 || len(e.Proposal.Lost) > 1024 || strings.Contains(e.Proposal.Lost, "\x1b") {
		t.Errorf("%d partitions and %d bytes are kept", len(e.Proposal.Layout), len(e.Proposal.Lost))
	}
}
