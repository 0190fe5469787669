package provision

import "testing"

// TestToldAfterARestore: what was told to an installed system stays good, though it is
// not known any more what the machine has.
func TestToldAfterARestore(t *testing.T) {
	const mac MAC = "02:00:00:00:00:01"
	s := Fold(State{}, Event{MAC: mac, Kind: KindClaim, Stage: StageAgent, System: &System{ID: "0123456789abcdef0123", Image: "web"}})
	if s.Told() != nil {
		t.Error("before its end an install has told nothing")
	}
	s = Fold(s, Event{MAC: mac, Kind: KindDone, Stage: StageInstalled})
	id := s.Told().InstanceID(mac)
	s.Has = nil // as a restore has it
	if got := s.Told().InstanceID(mac); id != "i-0123456789abcdef0" || got != id {
		t.Errorf("the instance was %s and is %s", id, got)
	}
	s = Fold(s, Event{MAC: mac, Kind: KindClaim, Stage: StageAgent, System: &System{ID: "another"}})
	if s.Told() != nil {
		t.Error("while it is not known what the disk has and another install is under way, something is told")
	}
}
