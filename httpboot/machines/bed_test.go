package machines

import (
	"net/netip"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/httpboot/machines/machinestest"
	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
)

var _ Site = (*machinestest.Site)(nil)

// The machines of the tests, and a further network card.
const (
	node1    provision.MAC = "52:54:00:00:00:01"
	card2    provision.MAC = "52:54:00:00:01:02"
	stranger provision.MAC = "52:54:00:00:00:99"
)

// bed is machines with a real tracker. node1 is in the site.
type bed struct {
	*Machines
	t    testing.TB
	site *machinestest.Site
}

func newBed(t testing.TB) *bed {
	t.Helper()
	site := &machinestest.Site{}
	tracker, err := track.NewTracker(&store.Memory{}, track.Options{Known: func(mac provision.MAC) bool { _, ok := site.Spec(mac); return ok }})
	must(t, err)
	t.Cleanup(tracker.Close)
	site.Put(provision.Spec{MAC: node1, Image: "web", Hostname: "web1", InstallOnce: true})
	return &bed{&Machines{Site: site, Tracker: tracker}, t, site}
}

// change changes what the site says of a machine.
func (b *bed) change(mac provision.MAC, change func(*provision.Spec)) {
	spec, _ := b.site.Spec(mac)
	change(&spec)
	b.site.Put(spec)
}

func (b *bed) state(mac provision.MAC) provision.State {
	state, _ := b.Tracker.State(mac)
	return state
}

// wantTrace fails unless a machine's story has the words.
func (b *bed) wantTrace(mac provision.MAC, words ...string) {
	b.t.Helper()
	events, err := b.Tracker.Events(b.t.Context(), mac, 0, 0)
	must(b.t, err)
	var story strings.Builder
	for _, e := range events {
		story.WriteString(e.String() + "\n")
	}
	for _, word := range words {
		if !strings.Contains(story.String(), word) {
			b.t.Errorf("want %q in the trace of %s:\n%s", word, mac, story.String())
		}
	}
}

// startsAt has a machine's firmware ask for an address.
func (b *bed) startsAt(mac provision.MAC, addr string) {
	client := dhcp.Client{MAC: mac.HardwareAddr(), Kind: dhcp.PXE, Firmware: dhcp.BIOS}
	b.SawExchange(dhcp.Exchange{Client: client, Request: "DISCOVER", Reply: "OFFER", Addr: netip.MustParseAddr(addr), Reason: "test"})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
