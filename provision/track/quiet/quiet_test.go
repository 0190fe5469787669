package quiet_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
	"cloudlets/provision/track/quiet"
)

// TestNotice: a machine that is switched off in mid-install becomes quiet once its
// stage's time is over, and not before. One that goes on does not.
func TestNotice(t *testing.T) {
	const off, on = provision.MAC("52:54:00:00:00:01"), provision.MAC("52:54:00:00:00:02")
	synctest.Test(t, func(t *testing.T) {
		tr, err := track.NewTracker(&store.Memory{}, track.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		var first atomic.Bool
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- (&quiet.Noticer{Tracker: tr, First: first.Load}).Run(ctx) }()
		defer func() {
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		stage := func(mac provision.MAC, s provision.Stage) {
			t.Helper()
			if err := tr.Record(t.Context(), provision.Event{MAC: mac, Kind: provision.KindStage, Stage: s, Text: "begins"}); err != nil {
				t.Fatal(err)
			}
		}
		isQuiet := func(mac provision.MAC) bool {
			state, _ := tr.State(mac)
			return state.Quiet != nil
		}
		stage(off, provision.StageStream)
		stage(on, provision.StageStream)
		time.Sleep(4 * time.Minute) // in the bubble's time, which passes at once
		stage(on, provision.StageConfigure)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if isQuiet(off) || isQuiet(on) {
			t.Error("quiet before its time is over")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if isQuiet(off) {
			t.Error("another server is to notice it")
		}
		first.Store(true) // that server is gone
		time.Sleep(time.Minute)
		synctest.Wait()
		if !isQuiet(off) || isQuiet(on) {
			t.Errorf("switched off: quiet %t; going on: quiet %t", isQuiet(off), isQuiet(on))
		}
		stage(off, provision.StageStream)
		if isQuiet(off) {
			t.Error("it was heard, and is quiet")
		}
	})
}

// TestAWholeHallIsQuiet: when thousands of machines lose their power at once, each of
// them is recorded, although that is more than may wait to be written.
func TestAWholeHallIsQuiet(t *testing.T) {
	const hall = 6000
	synctest.Test(t, func(t *testing.T) {
		tr, err := track.NewTracker(&store.Memory{}, track.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- (&quiet.Noticer{Tracker: tr, First: func() bool { return true }}).Run(ctx) }()
		mac := func(i int) provision.MAC { return provision.MAC(fmt.Sprintf("52:54:00:00:%02x:%02x", i>>8, i&0xff)) }
		for i := range hall {
			if err := tr.Record(t.Context(), provision.Event{MAC: mac(i), Kind: provision.KindStage, Stage: provision.StageStream, Text: "begins"}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		found := 0
		for i := range hall {
			if state, _ := tr.State(mac(i)); state.Quiet != nil {
				found++
			}
		}
		if found != hall {
			t.Errorf("%d of %d machines are quiet", found, hall)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestAStartedServerWaits: machines that were installed while the server was down get
// their whole time to say that they run.
func TestAStartedServerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store.Memory{}
		tr, err := track.NewTracker(s, track.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		const mac = provision.MAC("52:54:00:00:00:01")
		for _, e := range []provision.Event{
			{Kind: provision.KindClaim, Stage: provision.StageAgent, System: &provision.System{Image: "web", Tells: true}},
			{Kind: provision.KindDone},
		} {
			e.MAC, e.Text = mac, "happens"
			if err := tr.Record(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour) // the server is down
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- (&quiet.Noticer{Tracker: tr, First: func() bool { return true }}).Run(ctx) }()
		time.Sleep(14 * time.Minute)
		synctest.Wait()
		if state, _ := tr.State(mac); state.Quiet != nil {
			t.Error("quiet as soon as the server started")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if state, _ := tr.State(mac); state.Quiet == nil {
			t.Error("never quiet")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
