package track_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
	"cloudlets/provision/track/quiet"
)

// TestAnAgentThatWaits is not quiet as long as it asks, not even for a server that it
// does not ask; one that was switched off is. Waiting leaves no events.
func TestAnAgentThatWaits(t *testing.T) {
	const mac = provision.MAC("52:54:00:00:00:01")
	synctest.Test(t, func(t *testing.T) {
		shared := &store.Memory{}
		asked, err := track.NewTracker(shared, track.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer asked.Close()
		other, err := track.NewTracker(shared, track.Options{Slot: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- (&quiet.Noticer{Tracker: other, First: func() bool { return true }}).Run(ctx) }()
		go func() { done <- asked.Run(ctx) }()
		defer func() {
			stop()
			for range cap(done) {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
		}()
		k := tickets.New(shared, nil)
		token, err := k.Issue(ctx, mac)
		if err != nil {
			t.Fatal(err)
		}
		session, err := k.Claim(ctx, token, tickets.Claimant{Nonce: "n"})
		if err != nil {
			t.Fatal(err)
		}
		isQuiet := func() bool {
			synctest.Wait()
			state, _ := other.State(mac)
			return state.Quiet != nil
		}
		for range 20 * 12 { // twenty minutes, every five seconds
			may, err := asked.Propose(ctx, mac, nil, provision.Proposal{Image: "web"}, true, k, session.Secret)
			if may || err != nil {
				t.Fatalf("may write: %t, %v", may, err)
			}
			time.Sleep(5 * time.Second)
		}
		if isQuiet() {
			t.Error("a machine that asks is quiet")
		}
		if events, err := other.Events(ctx, mac, 0, 0); err != nil || len(events) != 1 || events[0].Kind != provision.KindPlan {
			t.Errorf("the trace has %v, %v", events, err)
		}
		time.Sleep(7 * time.Minute)
		if !isQuiet() {
			t.Error("a machine that was switched off is not quiet")
		}
	})
}
