package track_test

import (
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
)

// TestNothingIsArmedAfterARestore: neither what was armed when the backup was
// made, nor what its file lets install once, nor a machine that is not in the
// backup at all.
func TestNothingIsArmedAfterARestore(t *testing.T) {
	kept := &store.Memory{}
	tr := tracker(t, kept)
	const armed, seen, unseen, installed provision.MAC = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03", "52:54:00:00:00:04"
	record(t, tr, provision.Event{MAC: armed, Kind: provision.KindArmed, By: "ann"},
		provision.Event{MAC: seen, Kind: provision.KindDHCP, Text: "DISCOVER"},
		provision.Event{MAC: installed, Kind: provision.KindDone})
	flush(t, tr)
	disarmed, err := track.Restored(t.Context(), kept, midday)
	if err != nil || len(disarmed) != 1 || disarmed[0] != armed {
		t.Fatal(disarmed, err)
	}
	tr = tracker(t, kept)
	spec := func(mac provision.MAC) *provision.Spec {
		return &provision.Spec{MAC: mac, Image: "web", InstallOnce: true}
	}
	for _, mac := range []provision.MAC{armed, seen, unseen, installed} {
		record(t, tr, provision.Event{MAC: mac, Kind: provision.KindDHCP, Text: "REQUEST"})
		state, _ := tr.State(mac)
		if d := provision.Decide(spec(mac), state); d.Action != provision.ActionLocal {
			t.Errorf("%s: %+v", mac, d)
		}
	}
	if err := tr.Arm(t.Context(), unseen, spec(unseen), track.Order{By: "ann"}); err != nil {
		t.Fatal(err)
	}
	state, _ := tr.State(unseen)
	if d := provision.Decide(spec(unseen), state); d.Action != provision.ActionInstall {
		t.Errorf("armed by a person: %+v", d)
	}
}

// TestADamagedRecord: one record that cannot be read keeps no server from
// starting, and its machine is not installed by that.
func TestADamagedRecord(t *testing.T) {
	kept := &store.Memory{}
	tr := tracker(t, kept)
	const other provision.MAC = "52:54:00:00:00:02"
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindDone}, provision.Event{MAC: other, Kind: provision.KindArmed, By: "ann"})
	if err := kept.Update(t.Context(), func(tx store.Tx) error { return tx.Put("machines", string(node), []byte(`{"state": [`)) }); err != nil {
		t.Fatal(err)
	}
	tr = tracker(t, kept)
	state, _ := tr.State(node)
	if d := provision.Decide(&provision.Spec{MAC: node, Image: "web", InstallOnce: true}, state); d.Action != provision.ActionLocal {
		t.Errorf("%+v", d)
	}
	if state, _ := tr.State(other); !state.Armed {
		t.Error("another machine's record is lost")
	}
}
