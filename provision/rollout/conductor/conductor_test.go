package conductor_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/rollout/book"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
)

// TestWaves: each wave begins when the one before has ended, and no machine is armed twice.
func TestWaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newFleet(t).start("a", 0)
		name := a.create(rollout.Order{AtATime: 3}, 7)
		a.want(name, "aaawwww running")
		for n := range 3 {
			a.happens(n, installs("b")...)
		}
		a.want(name, "aaawwww running") // none says yet that it runs
		a.happens(1, runs("b"))
		a.happens(0, runs("b"))
		a.want(name, "ggawwww running")
		a.happens(2, runs("b"))
		a.want(name, "gggaaaw running")
		for n := 3; n < 7; n++ {
			a.happens(n, append(installs("b"), runs("b"))...)
		}
		a.want(name, "ggggggg ended")
		for n := range 7 {
			armed := 0
			events, err := a.tracker.Events(t.Context(), mac(n), 0, 0)
			for _, e := range events {
				if e.Kind == provision.KindArmed {
					armed++
					if e.By != "ann, by the roll-out "+name || e.Pin.Pack != "sha256:1" {
						t.Errorf("%+v", e)
					}
				}
			}
			if armed != 1 || err != nil {
				t.Errorf("%s was armed %d times, %v", mac(n), armed, err)
			}
		}
	})
}

// TestStops: of forty machines the tenth fails, and those after its wave are left alone. A
// person goes on, without it.
func TestStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newFleet(t).start("a", 0)
		name := a.create(rollout.Order{AtATime: 4}, 40)
		for n := range 9 {
			a.happens(n, append(installs("b"), runs("b"))...)
		}
		a.happens(9, append(installs("b")[:3], fails("the disk burns"))...)
		a.want(name, strings.Repeat("g", 9)+"baa"+strings.Repeat("w", 28)+" stopped")
		if r := a.book.Get(name); r.Why != "1 of 40 machines are bad" || r.Step(mac(9)).Why != "the disk burns" {
			t.Errorf("it says %q, and of the machine %q", r.Why, r.Step(mac(9)).Why)
		}
		a.happens(10, append(installs("b"), runs("b"))...)
		a.happens(11, append(installs("b"), runs("b"))...)
		a.want(name, strings.Repeat("g", 9)+"bgg"+strings.Repeat("w", 28)+" stopped")
		if state, _ := a.tracker.State(mac(12)); state.Armed {
			t.Error("one of the next wave is armed")
		}
		if err := a.book.Resume(t.Context(), name, "bob", time.Now()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		a.want(name, strings.Repeat("g", 9)+"bggaaaa"+strings.Repeat("w", 24)+" running")
	})
}

// TestBad: each way that a machine can be bad. More than one may be, if a person says so.
func TestBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.broken[mac(0)] = errors.New("its file is wrong")
		a := f.start("a", 0)
		for n, e := range map[int][]provision.Event{1: append(installs("a"), runs("a")), 3: append(installs("a"), runs("a"))} {
			a.happens(n, append([]provision.Event{{Kind: provision.KindArmed, Text: "armed"}}, e...)...)
		}
		a.happens(4, provision.Event{Kind: provision.KindOrdered, Text: "ordered", Order: &provision.Boot{Kind: provision.BootLocal}})
		time.Sleep(time.Second)
		name := a.create(rollout.Order{AtATime: 5, StopAfter: 5}, 6)
		a.happens(1, append(installs("b"), runs("a"))...)
		a.happens(2, provision.Event{Kind: provision.KindDisarmed, Text: "disarmed", By: "bob"})
		a.happens(3, append(installs("b"), runs("b"))...)
		a.want(name, "bbbgba running")
		a.happens(3, runs("a")) // it died, within its minute
		a.want(name, "bbbbba running")
		r := a.book.Get(name)
		for n, why := range []string{"not armed: its file is wrong", "fell back to web in slot A", "called off", "fell back to web in slot A", "its next boot is ordered"} {
			if got := r.Step(mac(n)).Why; !strings.Contains(got, why) {
				t.Errorf("machine %d is bad since %q, want %q", n, got, why)
			}
		}
		a.happens(5, append(installs("a"), runs("a"))...)
		a.want(name, "bbbbbg ended")
	})
}

// TestSwitch: each machine is switched on in its turn, and once. One that cannot be is bad.
func TestSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.dark[mac(1)] = errors.New("its controller does not answer")
		a := f.start("a", 0)
		name := a.create(rollout.Order{AtATime: 1, Power: true}, 3)
		if !slices.Equal(f.switched, []provision.MAC{mac(0)}) || a.book.Get(name).Step(mac(0)).Switch {
			t.Errorf("switched are %v", f.switched)
		}
		a.happens(0, append(installs("b"), runs("b"))...)
		a.want(name, "gbw stopped")
		if why := a.book.Get(name).Step(mac(1)).Why; !strings.Contains(why, "controller does not answer") || !strings.Contains(why, "--cancel") || len(f.switched) != 2 {
			t.Errorf("it says %q; switched are %v", why, f.switched)
		}
	})
}

// TestTakeOver: a server dies at any step of a roll-out, and another one goes on: no machine
// is armed twice, and one that was not switched on yet is.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		a, b := f.start("a", 0), f.start("b", 1)
		name := a.create(rollout.Order{AtATime: 2}, 5)
		if got := b.book.Get(name); got.Carrier != "a" {
			t.Errorf("%q carries it on", got.Carrier)
		}
		b.happens(0, append(installs("b"), runs("b"))...) // the machine speaks to the other one
		a.want(name, "gawww running")
		a.kill()
		b.happens(1, append(installs("b"), runs("b"))...)
		b.want(name, "gawww running") // the one that died counts as alive yet
		f.announce("a", false)
		b.members <- struct{}{}
		synctest.Wait()
		b.want(name, "ggaaw running")
		if got := b.book.Get(name).Carrier; got != "b" {
			t.Errorf("%q carries it on", got)
		}
		again := f.start("a", 0)
		for n := 2; n < 5; n++ {
			again.happens(n, append(installs("b"), runs("b"))...)
		}
		again.want(name, "ggggg ended")
	})
}

// TestRestart: the only server is killed when it had armed a machine, and had neither
// switched it on nor armed the rest of the wave.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		b, err := book.Open(t.Context(), f.store, nil)
		if err != nil {
			t.Fatal(err)
		}
		tracker, err := track.NewTracker(f.store, track.Options{})
		if err != nil {
			t.Fatal(err)
		}
		name, err := b.Create(t.Context(), rollout.Order{By: "ann", Machines: []provision.MAC{mac(0), mac(1), mac(2)}, AtATime: 2, StopAfter: 1, Power: true}, "a")
		if err != nil {
			t.Fatal(err)
		}
		step := rollout.Step{Phase: rollout.Armed, Armed: time.Now(), Switch: true}
		err = tracker.Arm(t.Context(), mac(0), spec(mac(0)), track.Order{By: "ann", With: func(tx store.Tx) error {
			return b.Record(tx, name, "a", mac(0), rollout.Waiting, step)
		}})
		if err != nil {
			t.Fatal(err)
		}
		b.Close()
		tracker.Close()
		a := f.start("a", 0)
		synctest.Wait()
		a.want(name, "aaw running")
		slices.Sort(f.switched)
		if !slices.Equal(f.switched, []provision.MAC{mac(0), mac(1)}) {
			t.Errorf("switched are %v", f.switched)
		}
		a.kill()
		if a = f.start("a", 0); len(f.switched) != 2 {
			t.Errorf("after another restart %v are switched", f.switched)
		}
		a.happens(0, append(installs("b"), runs("b"))...)
		a.want(name, "gaw running")
	})
}

// TestBootWithin: a machine that does not boot in time is bad, whatever nobody says of it, and
// the roll-out stops. One that boots has all the time it takes.
func TestBootWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newFleet(t).start("a", 0)
		name := a.create(rollout.Order{AtATime: 2, BootWithin: 30 * time.Minute}, 4)
		a.happens(0, installs("b")[:2]...)
		time.Sleep(29 * time.Minute)
		synctest.Wait()
		a.want(name, "aaww running")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		a.want(name, "abww stopped")
		if why := a.book.Get(name).Step(mac(1)).Why; !strings.Contains(why, "did not boot from the network within 30m:") {
			t.Errorf("the machine is bad since %q", why)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		a.want(name, "abww stopped")
	})
}

// TestBootWithinAfterAServersEnd: a machine has all its time from when a server is there that
// answers it, and from when it is switched on.
func TestBootWithinAfterAServersEnd(t *testing.T) {
	for _, power := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet(t)
			a := f.start("a", 0)
			name := a.create(rollout.Order{AtATime: 1, BootWithin: 30 * time.Minute, Power: power}, 2)
			a.kill()
			f.announce("a", false)
			time.Sleep(time.Hour)
			b := f.start("b", 1)
			synctest.Wait()
			b.want(name, "aw running")
			time.Sleep(29 * time.Minute)
			synctest.Wait()
			b.want(name, "aw running")
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			b.want(name, "bw stopped")
		})
	}
}
