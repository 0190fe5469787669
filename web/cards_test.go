package web_test

import (
	"fmt"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/web/api"
)

// TestAMachineByAnyOfItsCards: a second network card was seen as a stranger. Once the
// machine's file lists it, there is one machine, and both MACs are its name.
func TestAMachineByAnyOfItsCards(t *testing.T) {
	b := newBed(t)
	b.record(t, provision.Event{MAC: mac9, Kind: provision.KindDHCP, Stage: provision.StageStranger})
	if n := len(get[api.MachinePage](t, b.Handler(), "/api/v1/machines").Machines); n != 3 {
		t.Fatalf("%d machines before the card is listed", n)
	}
	b.record(t, provision.Event{MAC: mac9, Kind: provision.KindLog, Facts: map[string]string{"cardOf": string(mac1)}})
	d := get[api.Detail](t, b.Handler(), "/api/v1/machines/"+string(mac9))
	if want := fmt.Sprintf(`add "macs": [%q] to machines/%s.json`, mac9, mac1); !strings.Contains(d.Next.Reason, want) {
		t.Errorf("a stranger that seems to be a card: %s", d.Next.Reason)
	}

	write(t, b.dir, "machines/52:54:00:00:00:01.json", fmt.Sprintf(`{"image": "debian", "hostname": "web-1", "macs": [%q]}`, mac9))
	b.Site.Reload()
	if n := len(get[api.MachinePage](t, b.Handler(), "/api/v1/machines").Machines); n != 2 {
		t.Errorf("%d machines after the card was listed", n)
	}
	found := get[api.MachinePage](t, b.Handler(), "/api/v1/machines?search="+string(mac9)).Machines
	if len(found) != 1 || found[0].MAC != mac1 {
		t.Errorf("a search for the card finds %+v", found)
	}

	b.record(t, provision.Event{MAC: mac1, Card: mac9, Kind: provision.KindDHCP, Stage: provision.StageFirmware, Text: "DISCOVER"})
	d = get[api.Detail](t, b.Handler(), "/api/v1/machines/"+string(mac9))
	if d.MAC != mac1 || d.Stage != provision.StageFirmware || len(d.Spec.MACs) != 1 || d.Spec.MACs[0] != mac9 {
		t.Errorf("the card's machine is %+v, %+v", d.Machine, d.Spec)
	}
	events := get[[]provision.Event](t, b.Handler(), "/api/v1/machines/"+string(mac9)+"/events")
	if len(events) != 1 || !strings.HasSuffix(events[0].String(), "DISCOVER (by its card "+string(mac9)+")") {
		t.Errorf("the card's story is %v", events)
	}
	ask(t, b.Handler(), "POST", "/api/v1/machines/"+string(mac9)+"/install", "")
	if state, _ := b.Tracker.State(mac1); !state.Armed {
		t.Error("an install that names the card does not arm the machine")
	}
	if state, _ := b.Tracker.State(mac9); state.Armed {
		t.Error("an install that names the card arms another machine")
	}
}
