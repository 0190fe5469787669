package track

import (
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// TestObserveDoesNotWaitForOthers: an event that is observed while another one has the
// lock is there for whoever has it next.
func TestObserveDoesNotWaitForOthers(t *testing.T) {
	tr, err := NewTracker(&store.Memory{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	const mac provision.MAC = "02:00:00:00:00:01"
	tr.lock()
	if err := tr.Observe(provision.Event{MAC: mac, Kind: provision.KindDHCP, Stage: provision.StageFirmware, Text: "DISCOVER"}); err != nil {
		t.Error(err)
	}
	tr.unlock()
	if state, known := tr.State(mac); !known || state.Stage != provision.StageFirmware {
		t.Errorf("the state is %v, known %t", state.Stage, known)
	}
	// A later event of another kind comes after it.
	tr.lock()
	if err := tr.Observe(provision.Event{MAC: mac, Kind: provision.KindDHCP, Stage: provision.StageFirmware, Text: "REQUEST"}); err != nil {
		t.Error(err)
	}
	tr.unlock()
	if err := tr.Record(t.Context(), provision.Event{MAC: mac, Kind: provision.KindHTTP, Stage: provision.StageKernel, Text: "script"}); err != nil {
		t.Fatal(err)
	}
	if state, _ := tr.State(mac); state.Stage != provision.StageKernel {
		t.Errorf("the state is %v, want that of the later event", state.Stage)
	}
}
