package members_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"cloudlets/provision/members"
	"cloudlets/provision/store"
)

func join(t *testing.T, s store.Store, id string, log *slog.Logger) *members.Members {
	t.Helper()
	m, err := members.Join(t.Context(), s, members.Member{ID: id, Name: "host-" + id, URL: "http://" + id}, 3, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// leave is what a store does when a server is gone.
func leave(t *testing.T, s store.Store, id string) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Delete(store.Announced, "member/"+id) }); err != nil {
		t.Fatal(err)
	}
}

func TestMembers(t *testing.T) {
	s := &store.Memory{}
	b := join(t, s, "b", nil)
	changed := b.Changed()
	a := join(t, s, "a", nil)
	<-changed
	for _, m := range []*members.Members{a, b} {
		self, live := m.IDs()
		if fmt.Sprint(live) != "[a b]" || self != m.Self().ID || len(m.Live()) != 2 || m.Live()[0].URL != "http://a" {
			t.Errorf("%s knows %v", self, m.Live())
		}
	}
	if err := a.SetSite(t.Context(), "sha256:1"); err != nil {
		t.Fatal(err)
	}
	if got := b.Live()[0].Site; got != "sha256:1" {
		t.Errorf("the site of the other is %q", got)
	}
	leave(t, s, "a")
	if _, live := b.IDs(); fmt.Sprint(live) != "[b]" {
		t.Errorf("after the other is gone: %v", live)
	}
}

// TestSlots: a server has the same slot after a restart. One that is gone for good
// makes room.
func TestSlots(t *testing.T) {
	s := &store.Memory{}
	slots := map[int]string{}
	for _, id := range []string{"a", "b", "c"} {
		slots[join(t, s, id, nil).Self().Slot] = id
	}
	if len(slots) != 3 {
		t.Errorf("the slots are %v", slots)
	}
	if again := join(t, s, "b", nil).Self().Slot; slots[again] != "b" {
		t.Errorf("after a restart the slot is %d of %v", again, slots)
	}
	_, err := members.Join(t.Context(), s, members.Member{ID: "d"}, 3, nil)
	if !errors.Is(err, members.ErrFull) {
		t.Errorf("a fourth server: %v", err)
	}
	leave(t, s, "c")
	if got := join(t, s, "d", nil).Self().Slot; slots[got] != "c" {
		t.Errorf("the fourth has the slot of %s", slots[got])
	}
}

// TestTwoServersWithOneIdentity: a machine was copied with its state folder.
func TestTwoServersWithOneIdentity(t *testing.T) {
	s := &store.Memory{}
	var log bytes.Buffer
	join(t, s, "a", slog.New(slog.NewTextHandler(&log, nil)))
	m, err := members.Join(t.Context(), s, members.Member{ID: "a", Name: "copy", Started: time.Now()}, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	if got := log.String(); !strings.Contains(got, "another server has the identity") || !strings.Contains(got, "copy") {
		t.Errorf("the log says %q", got)
	}
}
