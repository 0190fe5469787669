package track_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
)

// TestNoticeQuiet: a machine that is switched off in mid-install becomes quiet once its
// stage's time is over, and not before. One that goes on does not.
func TestNoticeQuiet(t *testing.T) {
	const off, on = provision.MAC("52:54:00:00:00:01"), provision.MAC("52:54:00:00:00:02")
	synctest.Test(t, func(t *testing.T) {
		tr, err := track.NewTracker(&store.Memory{}, track.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer tr.Close()
		first := false
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- tr.NoticeQuiet(ctx, func() bool { return first }) }()
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
		quiet := func(mac provision.MAC) bool {
			state, _ := tr.State(mac)
			return state.Quiet != nil
		}
		stage(off, provision.StageStream)
		stage(on, provision.StageStream)
		time.Sleep(4 * time.Minute) // in the bubble's time, which passes at once
		stage(on, provision.StageConfigure)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if quiet(off) || quiet(on) {
			t.Error("quiet before its time is over")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if quiet(off) {
			t.Error("another server is to notice it")
		}
		first = true // that server is gone
		time.Sleep(time.Minute)
		synctest.Wait()
		if !quiet(off) || quiet(on) {
			t.Errorf("switched off: quiet %t; going on: quiet %t", quiet(off), quiet(on))
		}
		stage(off, provision.StageStream)
		if quiet(off) {
			t.Error("it was heard, and is quiet")
		}
	})
}
