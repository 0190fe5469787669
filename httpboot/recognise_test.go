package httpboot

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision"
)

// UUIDs of the tests' machines. The swapped one is uuid1 with its first three fields in
// the other byte order.
const (
	uuid1        = "4c4c4544-0042-3510-8052-b4c04f564433"
	uuid1Swapped = "44454c4c-4200-1035-8052-b4c04f564433"
	uuid2        = "4c4c4544-0042-3510-8052-b4c04f564434"
	uuidOfMany   = "03000200-0400-0500-0006-000700080009"
)

// boots has a card's firmware ask for an address, and returns what it is told to boot.
func (b *bed) boots(card provision.MAC, uuid, addr string) dhcp.Boot {
	client := dhcp.Client{MAC: card.HardwareAddr(), Kind: dhcp.OwnIPXE, Firmware: dhcp.EFIX64, UUID: uuid}
	b.Recognise(client)
	boot := b.Boot(b.t.Context(), client)
	b.SawExchange(dhcp.Exchange{Client: client, Request: "DISCOVER", Reply: "OFFER", Addr: netip.MustParseAddr(addr), File: boot.File, Reason: boot.Reason})
	return boot
}

// TestTheUUIDInAFile: a person wrote the machine's UUID into its file. A card that no
// file names and that shows this UUID boots as the machine at its first packet, and is
// the machine's after a restart of the server, too.
func TestTheUUIDInAFile(t *testing.T) {
	b := newBed(t, nil)
	b.change(node1, func(s *provision.Spec) {
		s.UUID, s.Address = provision.UUIDOf(uuid1), netip.MustParseAddr("127.0.0.1")
	})
	b.kit(node1)
	client := dhcp.Client{MAC: card2.HardwareAddr(), Kind: dhcp.PXE, Firmware: dhcp.BIOS, UUID: uuid1Swapped}
	b.Recognise(client)
	if r, ok := b.Reserve(card2.HardwareAddr(), netip.Prefix{}); !ok || r.Addr.String() != "127.0.0.1" {
		t.Errorf("at its first packet there is kept %v, %t", r, ok)
	}
	if boot := b.boots(card2, uuid1Swapped, "127.0.0.1"); !strings.HasSuffix(boot.File, "/boot/"+string(card2)+"/script") {
		t.Errorf("the card boots %q: %s", boot.File, boot.Reason)
	}
	if _, seen := b.Tracker.State(card2); seen {
		t.Error("the card is a stranger, too")
	}
	if plan := b.claim(card2); plan.MAC != node1 || plan.Card != card2 {
		t.Errorf("the plan is of %s by %s", plan.MAC, plan.Card)
	}
	b.wantTrace(node1, "this machine has another network card, "+string(card2), "has the UUID that the card shows", "(by its card "+string(card2)+")")

	// Put into another machine, the card is that machine's no more.
	boot := b.boots(card2, uuid2, "127.0.0.3")
	if boot.File != "" || b.Known(card2.HardwareAddr()) {
		t.Errorf("in another machine, the card boots %q: %s", boot.File, boot.Reason)
	}
	b.wantTrace(card2, "is in another machine now")
	b.get("/boot/"+string(card2)+"/script").want(t, http.StatusOK, "no good file")
}

// TestAStrangerWithAKnownUUID: it is shown as a card of the machine that it seems to
// be, and nothing is installed.
func TestAStrangerWithAKnownUUID(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	b.boots(node1, uuid1, "127.0.0.1")
	want := `add "macs": ["` + string(card2) + `"] to machines/` + string(node1) + ".json"
	boot := b.boots(card2, uuid1Swapped, "127.0.0.2")
	if boot.File != "" || !strings.Contains(boot.Reason, want) {
		t.Errorf("the card boots %q: %s", boot.File, boot.Reason)
	}
	b.wantTrace(card2, "this seems to be a network card of web1 ("+string(node1)+")", want)
	b.get("/boot/"+string(card2)+"/script").want(t, http.StatusOK, "it seems to be a network card of "+string(node1))
	if state := b.state(card2); state.Stage != provision.StageStranger || state.Facts["cardOf"] != string(node1) {
		t.Errorf("the stranger is %s, a card of %q", state, state.Facts["cardOf"])
	}
	if strings.Contains(b.trace(node1), string(card2)) {
		t.Errorf("the stranger is in the machine's trace:\n%s", b.trace(node1))
	}
	// Once a person says so, it is the machine.
	b.change(node1, func(s *provision.Spec) { s.Cards = []provision.MAC{card2} })
	if boot := b.boots(card2, uuid1, "127.0.0.2"); boot.File == "" {
		t.Errorf("the card boots nothing: %s", boot.Reason)
	}
}

// TestUUIDsThatTellNothing: boards of one maker share a UUID, and two machines of the
// site have the same.
func TestUUIDsThatTellNothing(t *testing.T) {
	b := newBed(t, nil)
	b.change(node2, func(*provision.Spec) {})
	b.boots(node1, uuidOfMany, "127.0.0.1")
	b.boots(card2, uuidOfMany, "127.0.0.2")
	b.boots(node1, uuid1, "127.0.0.1")
	b.boots(node2, uuid1, "127.0.0.3")
	b.boots(card3, uuid1, "127.0.0.4")
	for _, card := range []provision.MAC{card2, card3} {
		if of := b.state(card).Facts["cardOf"]; of != "" {
			t.Errorf("%s is taken for a card of %s", card, of)
		}
	}
}

// TestACardThatTheAgentFound: the inventory of a machine names all its cards. One of
// them asks later, without a UUID.
func TestACardThatTheAgentFound(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	request := b.request(node1)
	request.Inventory.Interfaces = []provision.InterfaceInfo{{Name: "eth0", MAC: string(node1)}, {Name: "eth1", MAC: string(card3)}}
	b.claimAs(request)
	if boot := b.boots(card3, "", "127.0.0.4"); boot.File != "" || !strings.Contains(boot.Reason, `add "macs": ["`+string(card3)+`"] to machines/`+string(node1)) {
		t.Errorf("the card boots %q: %s", boot.File, boot.Reason)
	}
}
