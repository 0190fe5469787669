package httpboot

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/wire"
)

// propose tells a plan as an agent does, and returns why it has to wait.
func (b *bed) propose(plan wire.Plan, p provision.Proposal) string {
	b.t.Helper()
	a := b.do(http.MethodPost, wire.ProposalPath, plan.Session, wire.ProposalRequest{Proposal: p, Confirm: plan.Confirm}).want(b.t, http.StatusOK)
	var told wire.ProposalAnswer
	must(b.t, json.Unmarshal([]byte(a.body), &told))
	return told.Wait
}

func proposalOf(plan wire.Plan) provision.Proposal {
	return provision.Proposal{
		Disk: provision.DiskInfo{Name: "vda", Serial: "S1", Size: 8 << 30, Contents: "xfs"}, Lost: "xfs", Image: plan.Image, Pack: plan.Pack.Digest, Fetch: 7,
		Layout: []provision.ProposedPartition{{Number: 3, Name: "root", Filesystem: "ext4", Size: 7 << 30}},
	}
}

func TestAPlanIsToldFirst(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	if wait := b.propose(plan, proposalOf(plan)); plan.Confirm || wait != "" {
		t.Errorf("an install that nobody is to confirm waits: %q", wait)
	}
	b.wantTrace(node1, "will write web (sha256:", "to /dev/vda, serial S1", "on it now: xfs; lost: xfs", "3 root 7.5 GB ext4", "to fetch: 7 B")
	if state := b.state(node1); state.Stage != provision.StageAgent || state.Proposal == nil || state.Proposal.Disk.Serial != "S1" {
		t.Errorf("the state is %+v", state)
	}
	b.do(http.MethodPost, wire.ProposalPath, "another's", wire.ProposalRequest{}).want(t, http.StatusForbidden)
	b.do(http.MethodPost, wire.ProposalPath, plan.Session, "no proposal").want(t, http.StatusBadRequest, "read proposal")
}

// TestAPlanWaitsForAPerson: nothing may be written until a person has confirmed just that,
// at whichever server, and whatever the file says meanwhile.
func TestAPlanWaitsForAPerson(t *testing.T) {
	b := newBed(t, nil)
	shared := &store.Memory{}
	b.start(shared)
	other := b.second(shared)
	other.Others = func(netip.Addr) []string { return []string{"http://127.0.0.9"} } // which has the pack
	b.change(node1, func(s *provision.Spec) { s.Confirm = true })
	plan := b.claim(node1)
	if !plan.Confirm {
		t.Fatal("the agent is not told to wait")
	}
	first := proposalOf(plan)
	for _, server := range []*bed{b, other, b} { // the other one's file does not say "confirm"
		if wait := server.propose(plan, first); !strings.Contains(wait, "cloudlets confirm "+string(node1)) {
			t.Fatalf("it may write, and nobody has confirmed it: %q", wait)
		}
	}
	if state := b.state(node1); state.Stage != provision.StageConfirm || len(state.Stages) == 0 {
		t.Errorf("the state is %+v", state)
	}
	if n := strings.Count(b.trace(node1), "will write web"); n != 1 {
		t.Errorf("the trace has the plan %d times", n)
	}
	second := first
	second.Disk.Serial = "S2"
	if err := other.Tracker.Confirm(t.Context(), node1, "ann", second.Digest()); !errors.Is(err, provision.ErrNotWaiting) {
		t.Errorf("a plan is confirmed that nobody has seen: %v", err)
	}
	must(t, other.Tracker.Confirm(t.Context(), node1, "ann", first.Digest()))
	for _, server := range []*bed{b, other} {
		if wait := server.propose(plan, first); wait != "" {
			t.Errorf("confirmed, and it has to wait: %s", wait)
		}
	}
	b.wantTrace(node1, "plan confirmed by ann")

	// The agent starts again, and another disk has the hints of its file.
	again := b.claim(node1)
	if wait := b.propose(again, second); wait == "" {
		t.Error("another disk is written than the one that was confirmed")
	}
	if err := b.Tracker.Confirm(t.Context(), node1, "ann", first.Digest()); !errors.Is(err, provision.ErrNotWaiting) {
		t.Errorf("the plan of before is confirmed: %v", err)
	}
	// And again, with the first disk: that was confirmed.
	again = b.claim(node1)
	if wait := b.propose(again, first); wait != "" {
		t.Errorf("what was confirmed has to wait: %s", wait)
	}
}

// TestAPlanIsCalledOff while it waits: the agent may not write, and nothing was written.
func TestAPlanIsCalledOff(t *testing.T) {
	b := newBed(t, nil)
	b.change(node1, func(s *provision.Spec) { s.Confirm = true })
	plan := b.claim(node1)
	b.propose(plan, proposalOf(plan))
	must(t, b.Tracker.Cancel(t.Context(), node1, "ann", "the install was cancelled by ann", b.Tickets))
	b.do(http.MethodPost, wire.ProposalPath, plan.Session, wire.ProposalRequest{Proposal: proposalOf(plan), Confirm: true}).want(t, http.StatusForbidden, "cancelled by ann")
	b.wantTrace(node1, "so nothing was written")
	if err := b.Tracker.Confirm(t.Context(), node1, "ann", proposalOf(plan).Digest()); !errors.Is(err, provision.ErrNotWaiting) {
		t.Errorf("what was called off is confirmed: %v", err)
	}
}

// TestAPlanOutlivesTheServer: what was proposed and confirmed is in the store.
func TestAPlanOutlivesTheServer(t *testing.T) {
	b := newBed(t, nil)
	shared := &store.Memory{}
	b.start(shared)
	b.change(node1, func(s *provision.Spec) { s.Confirm = true })
	plan := b.claim(node1)
	b.propose(plan, proposalOf(plan))
	b.start(shared)
	must(t, b.Tracker.Confirm(t.Context(), node1, "ann", proposalOf(plan).Digest()))
	b.start(shared)
	if wait := b.propose(plan, proposalOf(plan)); wait != "" {
		t.Errorf("after a restart of the server it has to wait: %s", wait)
	}
}

// TestAPlanWhosePackIsGone is refused before the first write: while a person was waited
// for, the image may have changed and its old pack be removed.
func TestAPlanWhosePackIsGone(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	said := proposalOf(plan)
	said.Pack = "sha256:" + strings.Repeat("0", 64)
	b.do(http.MethodPost, wire.ProposalPath, plan.Session, wire.ProposalRequest{Proposal: said}).want(t, http.StatusConflict, "nothing was written")
}
