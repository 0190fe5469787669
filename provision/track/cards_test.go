package track_test

import (
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
)

// files are a site of machines by their MACs.
type files map[provision.MAC]provision.Spec

func (f files) Spec(mac provision.MAC) (provision.Spec, bool) {
	spec, ok := f[mac]
	return spec, ok
}

func (f files) Machine(card provision.MAC) provision.MAC { return card }

func (f files) ByUUID(uuid provision.UUID) (provision.MAC, bool) {
	for mac, spec := range f {
		if uuid != "" && spec.UUID == uuid {
			return mac, true
		}
	}
	return "", false
}

// TestACardCountsAsItWasSeenLast: a card was in two machines, one after the other. Also
// after a restart it is of the one in which it booted last.
func TestACardCountsAsItWasSeenLast(t *testing.T) {
	const card, one, two = provision.MAC("52:54:00:00:01:01"), provision.MAC("52:54:00:00:00:01"), provision.MAC("52:54:00:00:00:02")
	const uuid1, uuid2 = "4c4c4544-0042-3510-8052-b4c04f564431", "4c4c4544-0042-3510-8052-b4c04f564432"
	site := files{one: {MAC: one, UUID: provision.UUIDOf(uuid1)}, two: {MAC: two, UUID: provision.UUIDOf(uuid2)}}
	kept := &store.Memory{}
	clock := &clock{now: midday}
	before := trackerAt(t, kept, clock)
	for _, boot := range []struct {
		machine provision.MAC
		uuid    string
	}{{one, uuid1}, {two, uuid2}, {one, uuid1}} {
		clock.Advance(time.Minute)
		// A failure is durable, so that it is stored when Record returns.
		e := provision.Event{MAC: boot.machine, Card: card, Kind: provision.KindFailed, Facts: map[string]string{"uuid": boot.uuid}}
		if err := before.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if got := before.Machine(site, card); got != boot.machine {
			t.Errorf("the card booted in %s, and is of %s", boot.machine, got)
		}
	}
	after := trackerAt(t, kept, clock)
	if got := after.Machine(site, card); got != one {
		t.Errorf("after a restart the card is of %s", got)
	}
	delete(site, one)
	if got := after.Machine(site, card); got != card {
		t.Errorf("the card of a machine without a file is of %s", got)
	}
}

// TestResemblance: a card seems to be that of the only machine of the site that showed
// its UUID, or that found it.
func TestResemblance(t *testing.T) {
	const card, one, two = provision.MAC("52:54:00:00:01:01"), provision.MAC("52:54:00:00:00:01"), provision.MAC("52:54:00:00:00:02")
	const uuid, other = "4c4c4544-0042-3510-8052-b4c04f564431", "4c4c4544-0042-3510-8052-b4c04f564432"
	site := files{one: {MAC: one}, two: {MAC: two}}
	known := func(mac provision.MAC) bool { _, ok := site[mac]; return ok }
	tracker, err := track.NewTracker(&store.Memory{}, track.Options{Known: known})
	if err != nil {
		t.Fatal(err)
	}
	record := func(mac provision.MAC, facts map[string]string) {
		t.Helper()
		if err := tracker.Record(t.Context(), provision.Event{MAC: mac, Kind: provision.KindDHCP, Facts: facts}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(why string, of provision.MAC) {
		t.Helper()
		if got, _ := tracker.Resembles(site, card, provision.UUIDOf(uuid)); got != of {
			t.Errorf("%s: the card resembles those of %q, want %q", why, got, of)
		}
	}
	want("nothing was seen", "")
	record("52:54:00:00:00:99", map[string]string{"uuid": uuid})
	want("only a stranger showed the UUID", "")
	record(one, map[string]string{"uuid": uuid})
	want("one machine showed it", one)
	record(two, map[string]string{"uuid": uuid})
	want("two machines showed it", "")
	record(two, map[string]string{"uuid": other, "macs": string(card)})
	want("a machine's own UUID counts more than what an agent found", one)
	record(one, map[string]string{"uuid": other})
	want("an agent found the card", two)
}
