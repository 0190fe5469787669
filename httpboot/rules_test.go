package httpboot

import (
	"net/http"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/track"
	"cloudlets/provision/wire"
)

// hasRule gives a machine a profile with the rule that it takes vdb, if it has two disks.
func (b *bed) hasRule(mac provision.MAC) {
	when := provision.Conditions{"disks": "2"}
	judge := func() {
		b.change(mac, func(s *provision.Spec) {
			v := provision.RuleVerdict{Rule: "rule 1 of profiles/web.json"}
			s.Rules = &provision.Ruling{Found: b.Tracker.Found(mac)}
			s.Disk.Serial = ""
			if v.Matches, v.Why = when.Judge(s.Rules.Found); v.Matches {
				s.Disk.Serial = "B"
			}
			s.Rules.Add(v)
		})
	}
	b.site.Reread = judge
	judge()
}

func (b *bed) requestWithTwoDisks(mac provision.MAC) wire.ClaimRequest {
	b.t.Helper()
	request := b.request(mac)
	request.Inventory.Disks = append(request.Inventory.Disks, provision.DiskInfo{Name: "vdb", Size: 9 << 30, Serial: "B"})
	return request
}

// TestRulesCountForTheFirstClaim: what an agent tells with its claim decides about rules
// before the plan is made, and the trace says so.
func TestRulesCountForTheFirstClaim(t *testing.T) {
	b := newBed(t, nil)
	b.hasRule(node1)
	request := b.requestWithTwoDisks(node1)
	b.wantTrace(node1, "rule 1 of profiles/web.json waits, since nothing was found in the machine yet")
	if plan := b.claimAs(request); plan.Disk.Serial != "B" {
		t.Errorf("the plan's disk is %+v", plan.Disk)
	}
	b.wantTrace(node1, "the rules of its profiles were judged by its hardware: rule 1 of profiles/web.json matches")
	if found := b.state(node1).Found; found["disks"] != "2" || found["arch"] != "amd64" {
		t.Errorf("the state has %v", found)
	}
}

// TestRulesDoNotChangeWhatWasArmed: an install that was armed before the machine's hardware
// was known writes no disk that nobody armed. Armed again, it does.
func TestRulesDoNotChangeWhatWasArmed(t *testing.T) {
	b := newBed(t, nil)
	b.hasRule(node1)
	arm := func() {
		spec, _ := b.site.Spec(node1)
		must(t, b.Tracker.Arm(t.Context(), node1, &spec, track.Order{By: "anna"}))
	}
	arm()
	b.do(http.MethodPost, wire.ClaimPath, "", b.requestWithTwoDisks(node1)).
		want(t, http.StatusConflict, "with the rules of its profiles, named another image, disk or filesystem", "cloudlets install "+string(node1))
	arm()
	request := b.requestWithTwoDisks(node1)
	request.Nonce = "boot 2"
	if plan := b.claimAs(request); plan.Disk.Serial != "B" {
		t.Errorf("the plan's disk is %+v", plan.Disk)
	}
}
