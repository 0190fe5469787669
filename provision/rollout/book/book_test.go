package book_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/rollout/book"
	"cloudlets/provision/store"
	"cloudlets/provision/store/etcd"
	"cloudlets/provision/store/storetest"
	testcluster "cloudlets/testdata/etcd"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func mac(n int) provision.MAC {
	return provision.MAC(fmt.Sprintf("52:54:00:00:%02x:%02x", n>>8, n&255))
}

func order(first, count int) rollout.Order {
	o := rollout.Order{By: "ann", Time: noon, AtATime: 2, StopAfter: 1}
	for n := range count {
		o.Machines = append(o.Machines, mac(first+n))
	}
	return o
}

// open opens the book of one server.
func open(t *testing.T, s store.Store) *book.Book {
	t.Helper()
	b, err := book.Open(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func create(t *testing.T, b *book.Book, o rollout.Order, carrier string) string {
	t.Helper()
	name, err := b.Create(t.Context(), o, carrier)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// note makes a machine's step.
func note(t *testing.T, b *book.Book, name, self string, mac provision.MAC, from, to rollout.Phase) {
	t.Helper()
	if err := b.Note(t.Context(), name, self, mac, from, rollout.Step{Phase: to, Armed: noon}); err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error, words string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want %v with %q", err, want, words)
	}
}

// TestBook: what a roll-out is in the store is the same in each form of it.
func TestBook(t *testing.T) {
	cluster := testcluster.Start(t, 1)
	prefixes := 0
	stores := map[string]func(t *testing.T) store.Store{
		"memory, each transaction twice": func(*testing.T) store.Store { return storetest.Twice(&store.Memory{}) },
		"file": func(t *testing.T) store.Store {
			s, err := store.OpenFile(filepath.Join(t.TempDir(), store.FileName))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		},
		"etcd": func(t *testing.T) store.Store {
			prefixes++
			s, err := etcd.Open(t.Context(), etcd.Options{Endpoints: cluster.Endpoints(), Prefix: fmt.Sprintf("/rollouts/%d/", prefixes)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return s
		},
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"a roll-out is known to all servers, and after a restart", remembers},
		{"a machine is in one that runs", isAlone},
		{"one server carries it on", isClaimed},
		{"a step is made once", stepsOnce},
		{"who stops it wins against who arms", stops},
		{"old ones make room", makesRoom},
		{"a roll-out may have as many machines as the bound says", takesTheBound},
		{"nothing goes on after a restore", isRestored},
	} {
		for form, make := range stores {
			t.Run(test.name+"/"+form, func(t *testing.T) { test.run(t, make(t)) })
		}
	}
}

func remembers(t *testing.T, s store.Store) {
	here, there := open(t, s), open(t, s)
	name := create(t, here, order(1, 100), "a")
	note(t, here, name, "a", mac(1), rollout.Waiting, rollout.Armed)
	note(t, here, name, "a", mac(100), rollout.Waiting, rollout.Bad)
	for who, b := range map[string]*book.Book{"the other": there, "one that starts": open(t, s)} {
		r := b.Get(name)
		if r == nil {
			t.Fatalf("%s does not know it", who)
		}
		if r.By != "ann" || r.Phase != rollout.Running || r.Count(rollout.Waiting) != 98 || r.Step(mac(1)).Phase != rollout.Armed || !r.Step(mac(1)).Armed.Equal(noon) || r.Step(mac(100)).Phase != rollout.Bad {
			t.Errorf("%s knows %+v", who, r)
		}
		if got := b.Of(mac(50)); !slices.Equal(got, []string{name}) || b.Of(mac(101)) != nil || !slices.Equal(b.Unfinished(), []string{name}) {
			t.Errorf("%s: a machine is in %v", who, got)
		}
	}
	if err := here.Become(t.Context(), name, "a", rollout.Running, rollout.Move{Phase: rollout.Ended}, noon); err != nil {
		t.Fatal(err)
	}
	again := open(t, s)
	if again.Of(mac(50)) != nil || again.Unfinished() != nil || len(again.List()) != 1 || again.List()[0].Counts[rollout.Bad] != 1 {
		t.Errorf("it ended, and %+v is left", again.List())
	}
}

func isAlone(t *testing.T, s store.Store) {
	here, there := open(t, s), open(t, s)
	first := create(t, here, order(1, 4), "a")
	_, err := there.Create(t.Context(), order(4, 4), "b")
	wantError(t, err, book.ErrRefused, string(mac(4))+" is in the roll-out "+first)
	second := create(t, there, order(5, 4), "b")
	if second == first {
		t.Errorf("two are called %s", first)
	}
	if err := here.Stop(t.Context(), first, "bob", noon); err != nil {
		t.Fatal(err)
	}
	third := create(t, here, order(1, 1), "a")
	wantError(t, here.Resume(t.Context(), first, "bob", noon), book.ErrRefused, "is in the roll-out "+third)
	note(t, here, third, "a", mac(1), rollout.Waiting, rollout.Good)
	if err := here.Become(t.Context(), third, "a", rollout.Running, rollout.Move{Phase: rollout.Ended}, noon); err != nil {
		t.Fatal(err)
	}
	if err := here.Resume(t.Context(), first, "bob", noon); err != nil {
		t.Error(err)
	}
	_, err = here.Create(t.Context(), rollout.Order{}, "a")
	wantError(t, err, rollout.ErrOrder, "no machines")
}

// isClaimed: "a" is alive until its announcement is gone.
func isClaimed(t *testing.T, s store.Store) {
	ctx, b := t.Context(), open(t, s)
	alive := func(id string, is bool) {
		err := s.Update(ctx, func(tx store.Tx) error {
			if is {
				return tx.Put(store.Announced, "member/"+id, []byte("{}"))
			}
			return tx.Delete(store.Announced, "member/"+id)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	name := create(t, b, order(1, 4), "a")
	for _, step := range []struct {
		alive bool
		who   string
		won   bool
	}{{true, "b", false}, {true, "a", true}, {false, "b", true}} {
		alive("a", step.alive)
		won, err := b.Claim(ctx, name, step.who)
		if err != nil || won != step.won {
			t.Errorf("%s claims it: %t, %v", step.who, won, err)
		}
	}
	alive("b", true)
	if won, err := b.Claim(ctx, name, "c"); won || err != nil {
		t.Errorf("c claims what b carries: %t, %v", won, err)
	}
	err := b.Note(ctx, name, "a", mac(1), rollout.Waiting, rollout.Step{Phase: rollout.Armed})
	wantError(t, err, book.ErrMoved, "")
	wantError(t, b.Become(ctx, name, "a", rollout.Running, rollout.Move{Phase: rollout.Ended}, noon), book.ErrMoved, "")
	_, err = b.Claim(ctx, "r99", "a")
	wantError(t, err, book.ErrUnknown, "r99")
}

func stepsOnce(t *testing.T, s store.Store) {
	b := open(t, s)
	name := create(t, b, order(1, 4), "a")
	note(t, b, name, "a", mac(1), rollout.Waiting, rollout.Armed)
	wantError(t, b.Note(t.Context(), name, "a", mac(1), rollout.Waiting, rollout.Step{Phase: rollout.Armed}), book.ErrMoved, string(mac(1)))
	wantError(t, b.Note(t.Context(), name, "a", mac(9), rollout.Waiting, rollout.Step{Phase: rollout.Armed}), book.ErrMoved, "")
	note(t, b, name, "a", mac(1), rollout.Armed, rollout.Good)
}

func stops(t *testing.T, s store.Store) {
	ctx, b := t.Context(), open(t, s)
	name := create(t, b, order(1, 4), "a")
	note(t, b, name, "a", mac(1), rollout.Waiting, rollout.Armed)
	if err := b.Stop(ctx, name, "bob", noon); err != nil {
		t.Fatal(err)
	}
	wantError(t, b.Stop(ctx, name, "bob", noon), book.ErrRefused, "stopped already")
	wantError(t, b.Note(ctx, name, "a", mac(2), rollout.Waiting, rollout.Step{Phase: rollout.Armed}), book.ErrMoved, "")
	note(t, b, name, "a", mac(1), rollout.Armed, rollout.Bad) // what is under way still counts
	if err := b.Resume(ctx, name, "bob", noon); err != nil {
		t.Fatal(err)
	}
	wantError(t, b.Resume(ctx, name, "bob", noon), book.ErrRefused, "running")
	if r := b.Get(name); r.Forgiven != 1 || r.TooManyBad() || len(r.Next().Arm) != 1 {
		t.Errorf("resumed: %+v, %+v", r.Status, r.Next())
	}
	wantError(t, b.Stop(ctx, "r99", "bob", noon), book.ErrUnknown, "r99")
}

func makesRoom(t *testing.T, s store.Store) {
	b := open(t, s)
	names := []string{create(t, b, order(0, 1), "a"), create(t, b, order(1, 1), "a"), create(t, b, order(2, 1), "a")}
	note(t, b, names[2], "a", mac(2), rollout.Waiting, rollout.Good)
	for name, phase := range map[string]rollout.Phase{names[1]: rollout.Stopped, names[2]: rollout.Ended} {
		if err := b.Become(t.Context(), name, "a", rollout.Running, rollout.Move{Phase: phase}, noon); err != nil {
			t.Fatal(err)
		}
	}
	for n := 3; n < rollout.MaxKept+2; n++ {
		create(t, b, order(n, 1), "a")
	}
	if len(b.List()) != rollout.MaxKept || b.Get(names[0]) == nil || b.Get(names[1]) != nil || b.Get(names[2]) != nil || b.Of(mac(2)) != nil {
		t.Errorf("%d are kept", len(b.List()))
	}
	_, err := b.Create(t.Context(), order(999, 1), "a")
	wantError(t, err, book.ErrRefused, "no more are possible")
	if again := open(t, s); len(again.List()) != rollout.MaxKept {
		t.Errorf("after a restart %d are kept", len(again.List()))
	}
}

func takesTheBound(t *testing.T, s store.Store) {
	b := open(t, s)
	name := create(t, b, order(0, rollout.MaxMachines), "a")
	last := mac(rollout.MaxMachines - 1)
	note(t, b, name, "a", last, rollout.Waiting, rollout.Bad)
	if got := open(t, s).Get(name); got.Step(last).Phase != rollout.Bad || len(got.Machines) != rollout.MaxMachines {
		t.Errorf("it is %+v", got.Step(last))
	}
}

func isRestored(t *testing.T, s store.Store) {
	b := open(t, s)
	name := create(t, b, order(1, 3), "a")
	stopped, err := book.Restored(t.Context(), s, noon)
	if err != nil || !slices.Equal(stopped, []string{name}) {
		t.Errorf("%v, %v", stopped, err)
	}
	if r := b.Get(name); r.Phase != rollout.Stopped || !strings.Contains(r.Why, "backup") {
		t.Errorf("it is %+v", r.Status)
	}
	if stopped, err = book.Restored(t.Context(), s, noon); stopped != nil || err != nil {
		t.Errorf("once more: %v, %v", stopped, err)
	}
}
