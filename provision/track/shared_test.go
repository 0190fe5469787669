package track_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
)

// sharedStore is a store as several servers share one: it has limits, and runs
// the function of each Update twice, as after a conflict.
type sharedStore struct {
	store.Store
	t         *testing.T
	uncertain atomic.Int64 // so many updates are made, and nobody is told
}

var sharedLimits = store.Limits{Reads: 60, Writes: 2000, Bytes: 1 << 20, Shared: true}

func (s *sharedStore) Limits() store.Limits { return sharedLimits }

var errAgain = errors.New("run it again")

func (s *sharedStore) Update(ctx context.Context, write func(store.Tx) error) error {
	first := s.Store.Update(ctx, func(tx store.Tx) error {
		if err := write(tx); err != nil {
			return err
		}
		return errAgain
	})
	if first != errAgain {
		return first
	}
	counted := &countingTx{}
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		counted.Tx = tx
		return write(counted)
	})
	if counted.reads > sharedLimits.Reads || counted.writes > sharedLimits.Writes || counted.bytes > sharedLimits.Bytes {
		s.t.Errorf("a transaction has %d reads, %d writes, %d bytes", counted.reads, counted.writes, counted.bytes)
	}
	if err == nil && s.uncertain.Add(-1) >= 0 {
		return fmt.Errorf("connection reset: %w", store.ErrUncertain)
	}
	return err
}

// countingTx counts what a transaction does.
type countingTx struct {
	store.Tx
	reads, writes, bytes int
}

func (tx *countingTx) Get(bucket, key string) ([]byte, error) {
	tx.reads++
	return tx.Tx.Get(bucket, key)
}

func (tx *countingTx) GetEach(bucket string, keys []string) ([][]byte, error) {
	tx.reads += len(keys)
	return tx.Tx.GetEach(bucket, keys)
}

func (tx *countingTx) Scan(bucket, prefix, from string, visit func(string, []byte) error) error {
	tx.reads++
	return tx.Tx.Scan(bucket, prefix, from, visit)
}

func (tx *countingTx) Put(bucket, key string, value []byte) error {
	tx.writes++
	tx.bytes += len(key) + len(value)
	return tx.Tx.Put(bucket, key, value)
}

func (tx *countingTx) Delete(bucket, key string) error {
	tx.writes++
	return tx.Tx.Delete(bucket, key)
}

// members are trackers that share a store.
func members(t *testing.T, n int) ([]*track.Tracker, *sharedStore) {
	t.Helper()
	s := &sharedStore{Store: &store.Memory{}, t: t}
	list := make([]*track.Tracker, n)
	for i := range list {
		list[i] = member(t, s, i)
	}
	return list, s
}

func member(t *testing.T, s store.Store, slot int) *track.Tracker {
	t.Helper()
	tr, err := track.NewTracker(s, track.Options{Clock: (&clock{now: midday}).Now, Slot: slot})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return tr
}

// TestMembersSeeEachOther: what one server records, the others know as soon as it
// is written, and their subscribers are told.
func TestMembersSeeEachOther(t *testing.T) {
	all, _ := members(t, 2)
	a, b := all[0], all[1]
	told := b.Subscribe(t.Context(), "")
	record(t, a, logged(1), provision.Event{MAC: node, Kind: provision.KindArmed, By: "ann"})
	if s, _ := b.State(node); !s.Armed || s.ArmedBy != "ann" {
		t.Errorf("the other knows %+v", s)
	}
	first, second := <-told, <-told
	if first.Text != "event 1" || second.Kind != provision.KindArmed {
		t.Errorf("the other's subscriber is told %v, %v", first, second)
	}
	record(t, b, provision.Event{MAC: node, Kind: provision.KindDisarmed, By: "bob"}, logged(2))
	flush(t, b)
	if s, _ := a.State(node); s.Armed || !s.Cancelled {
		t.Errorf("the first knows %+v", s)
	}
	var ids []uint64
	for _, tr := range all {
		got := events(t, tr, node)
		if len(got) != 4 {
			t.Fatalf("%d events: %v", len(got), got)
		}
		latest, _ := tr.Latest(0)
		if len(latest) != 4 {
			t.Errorf("%d events are in memory", len(latest))
		}
		for _, e := range got {
			ids = append(ids, e.ID)
		}
	}
	if fmt.Sprint(ids[:4]) != fmt.Sprint(ids[4:]) {
		t.Errorf("IDs %v", ids)
	}
}

// TestMembersAtOnce: several servers record about the same machines. Nothing is
// lost, and in the end all have the same states, which are those in the store.
func TestMembersAtOnce(t *testing.T) {
	const machines, each = 50, 40
	all, s := members(t, 3)
	var wg sync.WaitGroup
	for slot, tr := range all {
		wg.Go(func() {
			for i := range each * machines {
				mac := provision.MAC(fmt.Sprintf("02:00:00:00:00:%02x", i%machines))
				e := provision.Event{MAC: mac, Kind: provision.KindLog, Text: fmt.Sprint(slot, " ", i), Facts: map[string]string{fmt.Sprint("from", slot): fmt.Sprint(i)}}
				if i%1000 == slot {
					e.Kind = provision.KindArmed
				}
				if err := tr.Record(context.WithoutCancel(t.Context()), e); err != nil {
					t.Error(err)
				}
			}
			flush(t, tr)
		})
	}
	wg.Wait()
	restarted := member(t, s, 3)
	for _, tr := range all {
		for i, state := range tr.States() {
			if want := restarted.States()[i]; fmt.Sprintf("%+v", state) != fmt.Sprintf("%+v", want) {
				t.Fatalf("one knows\n%+v\nthe store has\n%+v", state, want)
			}
		}
	}
	for _, state := range restarted.States() {
		if n := len(events(t, restarted, state.MAC)); n != 3*each || len(state.Facts) != 3 {
			t.Errorf("%s has %d events of %d, and the facts %v", state.MAC, n, 3*each, state.Facts)
		}
	}
}

// TestAnotherMembersCancelCounts: a server that has not heard of it yet does not
// begin the install.
func TestAnotherMembersCancelCounts(t *testing.T) {
	s := &sharedStore{Store: &store.Memory{}, t: t}
	a := member(t, s, 0)
	deaf := member(t, deafStore{s}, 1)
	spec := &provision.Spec{MAC: node, Image: "web", InstallOnce: true}
	k := tickets.New(s, nil)
	if err := a.Cancel(t.Context(), node, "ann", "stop", k); err != nil {
		t.Fatal(err)
	}
	if state, _ := deaf.State(node); provision.Decide(spec, state).Action != provision.ActionInstall {
		t.Fatal("the server is not deaf")
	}
	stopped := errors.New("it shall not be installed")
	claim := provision.Event{MAC: node, Kind: provision.KindClaim, Stage: provision.StageAgent}
	err := deaf.RecordWith(t.Context(), claim, func(state provision.State) error {
		if provision.Decide(spec, state).Action != provision.ActionInstall {
			return stopped
		}
		return nil
	}, nil)
	if !errors.Is(err, stopped) {
		t.Errorf("the claim: %v", err)
	}
	if got := events(t, a, node); len(got) != 1 {
		t.Errorf("events %v", got)
	}
}

// deafStore tells its followers nothing.
type deafStore struct{ store.Store }

func (s deafStore) Follow(ctx context.Context, f store.Follower, _ ...string) (func(), error) {
	return s.Store.Follow(ctx, f)
}

// TestNothingIsRecordedTwice: the store does what it was asked, and its answer is
// lost. What is written again is there once.
func TestNothingIsRecordedTwice(t *testing.T) {
	s := &sharedStore{Store: deafStore{&store.Memory{}}, t: t}
	tr := member(t, s, 0)
	record(t, tr, logged(1), logged(1), logged(2))
	s.uncertain.Store(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tr.Run(ctx); !errors.Is(err, store.ErrUncertain) {
		t.Fatal(err)
	}
	record(t, tr, logged(3))
	s.uncertain.Store(1)
	err := tr.Record(t.Context(), provision.Event{MAC: node, Kind: provision.KindDone, Text: "done"})
	if !errors.Is(err, store.ErrUncertain) || !strings.Contains(err.Error(), "it may have happened") {
		t.Errorf("got %v", err)
	}
	if err := tr.Record(t.Context(), provision.Event{MAC: node, Kind: provision.KindArmed, Text: "armed"}); err != nil {
		t.Fatal(err)
	}
	again := member(t, s, 1)
	var texts []string
	for _, e := range events(t, again, node) {
		texts = append(texts, fmt.Sprint(e.Text, e.Count))
	}
	if got := strings.Join(texts, ", "); got != "event 12, event 20, event 30, done0, armed0" {
		t.Errorf("the store has %s", got)
	}
	if state, _ := again.State(node); state.Installs != 1 || !state.Armed {
		t.Errorf("%+v", state)
	}
}

// TestMembersSeeProgress of installs that report to another server.
func TestMembersSeeProgress(t *testing.T) {
	all, _ := members(t, 2)
	record(t, all[0], provision.Event{MAC: node, Kind: provision.KindClaim, Stage: provision.StageAgent})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- all[0].ShareProgress(ctx) }()
	told := all[1].Subscribe(t.Context(), node)
	record(t, all[0], provision.Event{MAC: node, Kind: provision.KindProgress, Progress: &provision.Progress{Done: 7, Total: 10}})
	if e := <-told; e.Kind != provision.KindProgress || e.Progress.Done != 7 {
		t.Errorf("the other's subscriber is told %v", e)
	}
	if s, _ := all[1].State(node); s.Progress == nil || s.Progress.Done != 7 {
		t.Errorf("the other knows %+v", s)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
