package conductor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/rollout/book"
	"cloudlets/provision/rollout/conductor"
	"cloudlets/provision/store"
	"cloudlets/provision/store/storetest"
	"cloudlets/provision/track"
)

func mac(n int) provision.MAC { return provision.MAC(fmt.Sprintf("52:54:00:00:00:%02x", n)) }

// fleet is what servers share, and what they know of the site.
type fleet struct {
	t     *testing.T
	store store.Store

	mu       sync.Mutex
	broken   map[provision.MAC]error // machines that cannot be armed
	dark     map[provision.MAC]error // machines that cannot be switched on
	switched []provision.MAC
	alive    map[string]bool
}

func newFleet(t *testing.T) *fleet {
	return &fleet{t: t, store: storetest.Twice(&store.Memory{}), broken: map[provision.MAC]error{}, dark: map[provision.MAC]error{}, alive: map[string]bool{}}
}

// server is one of several.
type server struct {
	*fleet
	id      string
	book    *book.Book
	tracker *track.Tracker
	members chan struct{}
	kill    func()
}

// start starts a server that is alive until kill is called. slots tell servers apart.
func (f *fleet) start(id string, slot int) *server {
	f.t.Helper()
	f.announce(id, true)
	s := &server{fleet: f, id: id, members: make(chan struct{}, 1)}
	var err error
	if s.book, err = book.Open(f.t.Context(), f.store, nil); err != nil {
		f.t.Fatal(err)
	}
	if s.tracker, err = track.NewTracker(f.store, track.Options{Slot: slot}); err != nil {
		f.t.Fatal(err)
	}
	c := conductor.New(conductor.Options{
		Book: s.book, Tracker: s.tracker, Self: id, Log: slog.New(slog.NewTextHandler(f.t.Output(), nil)),
		Alive: func(id string) bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.alive[id]
		},
		ServersChanged: func() <-chan struct{} { return s.members },
		Spec:           spec,
		Refusal: func(mac provision.MAC) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.broken[mac]
		},
		Pack: func(context.Context, *provision.Spec) string { return "sha256:1" },
		Switch: func(_ context.Context, spec *provision.Spec, _ string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.switched = append(f.switched, spec.MAC)
			return f.dark[spec.MAC]
		},
	})
	ctx, stop := context.WithCancel(f.t.Context())
	ended := make(chan error, 2)
	go func() { ended <- c.Run(ctx) }()
	go func() { ended <- s.tracker.Run(ctx) }()
	s.kill = sync.OnceFunc(func() {
		stop()
		if err := errors.Join(<-ended, <-ended); err != nil {
			f.t.Errorf("the server ended with %v", err)
		}
		s.book.Close()
		s.tracker.Close()
	})
	f.t.Cleanup(s.kill)
	return s
}

// announce is what a store does when a server comes or goes.
func (f *fleet) announce(id string, alive bool) {
	f.t.Helper()
	f.mu.Lock()
	f.alive[id] = alive
	f.mu.Unlock()
	err := f.store.Update(f.t.Context(), func(tx store.Tx) error {
		if alive {
			return tx.Put(store.Announced, "member/"+id, []byte("{}"))
		}
		return tx.Delete(store.Announced, "member/"+id)
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func spec(mac provision.MAC) *provision.Spec {
	return &provision.Spec{MAC: mac, Image: "web", Slots: 2, Power: &provision.Power{WakeOnLAN: true}}
}

func (s *server) create(o rollout.Order, machines int) string {
	s.t.Helper()
	for n := range machines {
		o.Machines = append(o.Machines, mac(n))
	}
	o.By, o.Time, o.StopAfter = "ann", time.Now(), max(o.StopAfter, 1)
	name, err := s.book.Create(s.t.Context(), o, s.id)
	if err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	return name
}

// happens records what a machine says, a moment after the last, and lets the trackers write
// it and the conductors see it.
func (s *server) happens(n int, events ...provision.Event) {
	s.t.Helper()
	for _, e := range events {
		time.Sleep(time.Second) // of the bubble's clock
		e.MAC = mac(n)
		if err := s.tracker.Record(s.t.Context(), e); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
	}
}

// installs are the events of an install, beside the system that a machine has.
func installs(slot string) []provision.Event {
	return []provision.Event{
		{Kind: provision.KindDHCP, Stage: provision.StageFirmware, Text: "asked"},
		{Kind: provision.KindClaim, Stage: provision.StageAgent, Text: "claimed", System: &provision.System{ID: slot, Image: "web", Tells: true, Keeps: true}},
		{Kind: provision.KindStage, Stage: provision.StagePartition, Text: "writes", Slot: slot, Beside: true},
		{Kind: provision.KindDone, Stage: provision.StageInstalled, Text: "done", Slot: slot, Beside: true},
	}
}

func runs(slot string) provision.Event {
	return provision.Event{Kind: provision.KindRunning, Text: "runs", Slot: slot}
}

func fails(why string) provision.Event { return provision.Event{Kind: provision.KindFailed, Text: why} }

// phases are the phases of all machines, a letter each, and that of the roll-out.
func (s *server) phases(name string) string {
	r := s.book.Get(name)
	var text strings.Builder
	for _, mac := range r.Machines {
		text.WriteString(string(r.Step(mac).Phase)[:1])
	}
	return text.String() + " " + string(r.Phase)
}

func (s *server) want(name, want string) {
	s.t.Helper()
	if got := s.phases(name); got != want {
		s.t.Errorf("it is %q, want %q", got, want)
	}
}
