package serving

import (
	"testing"
	"testing/synctest"
)

// TestRoom: no more get in than there is room for, and Wait returns when all have left.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRoom(2)
		for round := range 3 {
			if !r.Enter() || !r.Enter() || r.Enter() {
				t.Errorf("round %d: the room is not for two", round)
			}
			empty := make(chan struct{})
			go func() { defer close(empty); r.Wait() }()
			r.Leave()
			synctest.Wait()
			select {
			case <-empty:
				t.Error("it counts as empty while one is in it")
			default:
			}
			r.Leave()
			<-empty
		}
	})
}
