package httpboot

import (
	"net/http"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision"
)

// The further network cards of the tests' machine node1.
const (
	card2 provision.MAC = "52:54:00:00:01:02"
	card3 provision.MAC = "52:54:00:00:01:03"
)

// TestAnyCardBootsTheMachine: a machine is installed by its second network card. It
// gets its own plan, and all that happens is in one story.
func TestAnyCardBootsTheMachine(t *testing.T) {
	b := newBed(t, nil)
	b.change(node1, func(s *provision.Spec) { s.Cards = []provision.MAC{card2, card3} })
	b.kit(node1)
	b.startsAt(card2, "127.0.0.1")
	if state, seen := b.Tracker.State(card2); seen {
		t.Errorf("the card has a state of its own: %s", state)
	}
	if !b.Known(card2.HardwareAddr()) {
		t.Error("the card is taken for a stranger's")
	}
	boot := b.Boot(t.Context(), dhcp.Client{MAC: card2.HardwareAddr(), Kind: dhcp.OwnIPXE, Firmware: dhcp.BIOS})
	if want := b.Base + "/boot/" + string(card2) + "/script"; boot.File != want {
		t.Errorf("the card boots %q (%s), want %q", boot.File, boot.Reason, want)
	}

	request := b.request(card2)
	if got := b.token(card2).MAC; got != card2 {
		t.Errorf("the agent is to use the card %s", got)
	}
	plan := b.claimAs(request)
	if plan.MAC != node1 || plan.Card != card2 || plan.Hostname != "web1" {
		t.Errorf("the plan is of %s by the card %s, %s", plan.MAC, plan.Card, plan.Hostname)
	}
	b.do(http.MethodGet, plan.Overlay.Path, plan.Session, nil).want(t, http.StatusOK)
	b.report(plan.Session, provision.Event{Kind: provision.KindLog, Card: stranger, Facts: map[string]string{"uuid": "4c4c4544-0042-3510-8052-b4c04f564433"}}).want(t, http.StatusNoContent)
	if got := b.Tracker.Shown(stranger); got != "" {
		t.Errorf("an agent told what another card shows: %s", got)
	}
	b.report(plan.Session, provision.Event{Kind: provision.KindDone}).want(t, http.StatusNoContent)
	if state := b.state(node1); state.Installs != 1 || state.Stage != provision.StageInstalled {
		t.Errorf("the machine is %s", state)
	}
	b.wantTrace(node1, "DISCOVER from BIOS PXE: OFFER 127.0.0.1 (by its card "+string(card2)+")", "claimed its plan")
	if strings.Contains(b.trace(node1), "it asks from") {
		t.Errorf("the trace warns of another host:\n%s", b.trace(node1))
	}
	b.get("/boot/"+string(card3)+"/script").want(t, http.StatusOK, "it was installed at")
}

// TestATokenIsOfOneMachine: a card of another machine cannot claim a machine's token.
func TestATokenIsOfOneMachine(t *testing.T) {
	b := newBed(t, nil)
	b.change(node2, func(s *provision.Spec) { s.Cards = []provision.MAC{card2} })
	b.kit(node1)
	request := b.request(node1)
	request.MAC = card2
	b.do(http.MethodPost, "/agent/claim", "", request).want(t, http.StatusConflict, "the token is of "+string(node1), string(card2))
}
