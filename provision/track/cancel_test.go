package track_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
	"cloudlets/provision/tickets/ticketstest"
	"cloudlets/provision/track"
)

// running is a machine whose install runs, and the session of its agent.
func running(t *testing.T, s store.Store) (*track.Tracker, *tickets.Tickets, tickets.Session) {
	t.Helper()
	c := &clock{now: midday}
	tr, k := trackerAt(t, s, c), tickets.New(s, c.Now)
	session := ticketstest.Claim(t, k, ticketstest.Issue(t, k, node), "n")
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindArmed, By: "ann"},
		provision.Event{MAC: node, Kind: provision.KindClaim, Stage: provision.StageAgent})
	return tr, k, session
}

func wantCancelled(t *testing.T, tr *track.Tracker, k *tickets.Tickets, session tickets.Session) {
	t.Helper()
	s, _ := tr.State(node)
	if s.Armed || !s.Cancelled || s.Stage != provision.StageFailed || s.Failure != "wrong rack" {
		t.Errorf("the state is %+v", s)
	}
	_, err := k.Session(t.Context(), session.Secret)
	ticketstest.Refused(t, err, "wrong rack")
	if !errors.Is(err, tickets.ErrSessionEnded) {
		t.Errorf("the agent is told %v", err)
	}
}

func TestCancel(t *testing.T) {
	s := &store.Memory{}
	tr, k, session := running(t, s)
	if err := tr.Cancel(t.Context(), node, "ann", "wrong rack", k); err != nil {
		t.Fatal(err)
	}
	wantCancelled(t, tr, k, session)
	wantCancelled(t, tracker(t, s), tickets.New(s, nil), session) // as after a crash
}

// TestCancelWorksWhileTheStoreIsFull: it is in force at once, survives what is
// recorded meanwhile, and is written when there is room again.
func TestCancelWorksWhileTheStoreIsFull(t *testing.T) {
	s := &countingStore{Store: &store.Memory{}}
	tr, k, session := running(t, s)
	token := ticketstest.Issue(t, k, node)
	s.broken.Store(true)
	err := tr.Cancel(t.Context(), node, "ann", "wrong rack", k)
	if !errors.Is(err, track.ErrNotDurable) || !strings.Contains(err.Error(), errBroken.Error()) {
		t.Fatalf("got %v", err)
	}
	wantCancelled(t, tr, k, session)
	_, err = k.Claim(t.Context(), token, tickets.Claimant{Nonce: "n"})
	if err == nil {
		t.Error("the token of a cancelled install was claimed")
	}
	for range 9000 { // more than may wait
		_ = tr.Observe(provision.Event{MAC: node, Kind: provision.KindDHCP, Text: "DISCOVER"})
	}
	s.broken.Store(false)
	_, err = k.Claim(t.Context(), token, tickets.Claimant{Nonce: "n"})
	ticketstest.Refused(t, err, "wrong rack")
	flush(t, tr)
	wantCancelled(t, tracker(t, s), tickets.New(s, nil), session)
}

// TestALateCancelSparesWhatIsNewer: an install that was cancelled in memory is
// written after the machine was armed again and got a new token.
func TestALateCancelSparesWhatIsNewer(t *testing.T) {
	s := &countingStore{Store: openStore(t, filepath.Join(t.TempDir(), "store.db"))}
	c := &clock{now: midday}
	tr, k := trackerAt(t, s, c), tickets.New(s, c.Now)
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindArmed, By: "ann"})
	s.broken.Store(true)
	if err := tr.Cancel(t.Context(), node, "ann", "wrong rack", k); !errors.Is(err, track.ErrNotDurable) {
		t.Fatalf("got %v", err)
	}
	s.broken.Store(false)
	c.Advance(1)
	token := ticketstest.Issue(t, k, node)
	flush(t, tr)
	ticketstest.Claim(t, k, token, "n")
}

// TestCancelAfterTheClockWentBack: what was issued by a clock that was ahead ends
// all the same.
func TestCancelAfterTheClockWentBack(t *testing.T) {
	s, c := &store.Memory{}, &clock{now: midday}
	tr, k := trackerAt(t, s, c), tickets.New(s, c.Now)
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindArmed, By: "ann"})
	session := ticketstest.Claim(t, k, ticketstest.Issue(t, k, node), "n")
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindClaim, Stage: provision.StageAgent})
	c.Advance(-time.Hour)
	if err := tr.Cancel(t.Context(), node, "ann", "wrong rack", k); err != nil {
		t.Fatal(err)
	}
	wantCancelled(t, tr, k, session)
	wantCancelled(t, trackerAt(t, s, c), tickets.New(s, c.Now), session)
}

// slowStore calls a function before each update.
type slowStore struct {
	store.Store
	before func()
}

func (s *slowStore) Update(ctx context.Context, write func(store.Tx) error) error {
	s.before()
	return s.Store.Update(ctx, write)
}

// TestCancelIsInForceBeforeItIsWritten: a disk that hangs does not hold up the
// emergency brake.
func TestCancelIsInForceBeforeItIsWritten(t *testing.T) {
	m := &store.Memory{}
	_, k, session := running(t, m)
	looked := make(chan error, 1)
	slow := &slowStore{m, func() {
		_, err := k.Session(t.Context(), session.Secret)
		looked <- err
	}}
	tr := tracker(t, slow)
	if err := tr.Cancel(t.Context(), node, "ann", "wrong rack", k); err != nil {
		t.Fatal(err)
	}
	ticketstest.Refused(t, <-looked, "wrong rack")
	wantCancelled(t, tr, k, session)
}

// TestAClaimAheadOfACancel: the claim is recorded while the cancel waits. Then
// the install was under way, and its end is recorded, too.
func TestAClaimAheadOfACancel(t *testing.T) {
	m := &store.Memory{}
	k := tickets.New(m, nil)
	var once sync.Once
	cancelled := make(chan error, 1)
	slow := &slowStore{Store: m, before: func() {}}
	tr := tracker(t, slow)
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindArmed, By: "ann"})
	slow.before = func() {
		once.Do(func() { // the claim is being written
			begun := make(chan struct{})
			go func() {
				close(begun)
				cancelled <- tr.Cancel(t.Context(), node, "ann", "wrong rack", k)
			}()
			<-begun
		})
	}
	record(t, tr, provision.Event{MAC: node, Kind: provision.KindClaim, Stage: provision.StageAgent})
	if err := <-cancelled; err != nil {
		t.Fatal(err)
	}
	if s, _ := tr.State(node); s.Installing() || s.Armed || s.Failure != "wrong rack" {
		t.Errorf("the state is %+v", s)
	}
}

// TestCancelForNobody: the person who cancels is gone before the answer. The
// install is cancelled durably, and the machine can be armed again.
func TestCancelForNobody(t *testing.T) {
	s := &store.Memory{}
	tr, k, session := running(t, s)
	ctx, gone := context.WithCancel(t.Context())
	gone()
	if err := tr.Cancel(ctx, node, "ann", "wrong rack", k); err != nil {
		t.Fatal(err)
	}
	wantCancelled(t, tracker(t, s), tickets.New(s, nil), session)
	if err := tr.Arm(t.Context(), node, &provision.Spec{MAC: node, Image: "debian"}, track.Order{By: "ann"}); err != nil {
		t.Fatal(err)
	}
	ticketstest.Claim(t, k, ticketstest.Issue(t, k, node), "again")
}
