package web_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
	"cloudlets/web/api"
)

func installPath(mac provision.MAC) string { return "/api/v1/machines/" + string(mac) + "/install" }

func TestArmAnInstall(t *testing.T) {
	b := newBed(t)
	var d api.Detail
	decode(t, ask(t, b.Handler(), "POST", installPath(mac1), `{"by": "ann"}`), http.StatusOK, &d)
	if !d.Armed || d.ArmedBy != "ann" || d.Next.Action != provision.ActionInstall {
		t.Errorf("the answer is %+v", d.Machine)
	}
	if state, _ := b.Tracker.State(mac1); !state.Armed || state.ArmedBy != "ann" {
		t.Errorf("the state is %+v", state)
	}
	decode(t, ask(t, b.Handler(), "POST", installPath(mac2), ""), http.StatusOK, &d)
	if d.ArmedBy != "the API" {
		t.Errorf("without a body it was armed by %q", d.ArmedBy)
	}
}

func TestWhatCannotBeArmed(t *testing.T) {
	b := newBed(t)
	h := b.Handler()
	wantRefusal(t, ask(t, h, "POST", installPath(mac9), `{"by": "ann"}`), http.StatusConflict, "machines/52:54:00:00:00:09.json")
	for _, body := range []string{"{", `{"by": 7}`, "[]", `{"by": ""}`, "{}"} {
		wantRefusal(t, ask(t, h, "POST", installPath(mac1), body), http.StatusBadRequest, `want {"by": "NAME"}`)
	}
	long := `{"by": "` + strings.Repeat("a", 5000) + `"}`
	wantRefusal(t, ask(t, h, "POST", installPath(mac1), long), http.StatusRequestEntityTooLarge, "more than 4096 bytes")
	if state, _ := b.Tracker.State(mac1); state.Armed {
		t.Error("a refused request armed the machine")
	}
}

func TestCancelAnArmedInstall(t *testing.T) {
	b := newBed(t)
	token, err := b.Tickets.Issue(t.Context(), mac1)
	if err != nil {
		t.Fatal(err)
	}
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindArmed, By: "ann", Text: "armed"})
	var d api.Detail
	decode(t, ask(t, b.Handler(), "DELETE", installPath(mac1), `{"by": "bob"}`), http.StatusOK, &d)
	if d.Armed || d.Next.Action != provision.ActionLocal || d.Failure != "" {
		t.Errorf("the answer is %+v", d.Machine)
	}
	_, err = b.Tickets.Claim(t.Context(), token, tickets.Claimant{Nonce: "n"})
	if err == nil || !strings.Contains(err.Error(), "the install was cancelled by bob") {
		t.Errorf("a token of the cancelled install: %v", err)
	}
	wantRefusal(t, ask(t, b.Handler(), "DELETE", installPath(mac1), ""), http.StatusConflict, "no install of 52:54:00:00:00:01 to cancel: its install was cancelled")
}

func TestCancelAnInstallThatTheFileAsksFor(t *testing.T) {
	b := newBed(t)
	var d api.Detail
	decode(t, ask(t, b.Handler(), "DELETE", installPath(mac2), ""), http.StatusOK, &d)
	if d.Next.Action != provision.ActionLocal {
		t.Errorf("the next boot is %+v", d.Next)
	}
}

func TestCancelAnInstallUnderWay(t *testing.T) {
	b := newBed(t)
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindArmed, By: "ann", Text: "armed"}, entered(mac1, provision.StageStream, 0))
	var d api.Detail
	decode(t, ask(t, b.Handler(), "DELETE", installPath(mac1), `{"by": "bob"}`), http.StatusOK, &d)
	if d.Stage != provision.StageFailed || d.Failure != "the install was cancelled by bob" || d.Warning != "" {
		t.Errorf("the answer is %+v", d)
	}
}

func TestNothingToCancel(t *testing.T) {
	b := newBed(t)
	wantRefusal(t, ask(t, b.Handler(), "DELETE", installPath(mac1), ""), http.StatusConflict, "no install is armed")
	wantRefusal(t, ask(t, b.Handler(), "DELETE", installPath(mac9), ""), http.StatusConflict, "the site has no good file")
	if state, _ := b.Tracker.State(mac1); state.Cancelled {
		t.Error("cancelling nothing changed the machine")
	}
}

// fullStore cannot be written once it is full.
type fullStore struct {
	store.Memory
	full bool
}

func (s *fullStore) Update(ctx context.Context, write func(store.Tx) error) error {
	if s.full {
		return errors.New("no space left on device")
	}
	return s.Memory.Update(ctx, write)
}

// TestCancelWithoutRoom: the emergency brake works, and says that it is not
// durable yet.
func TestCancelWithoutRoom(t *testing.T) {
	kept := &fullStore{}
	b := newBedOn(t, kept)
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindArmed, By: "ann", Text: "armed"})
	kept.full = true
	var d api.Detail
	decode(t, ask(t, b.Handler(), "DELETE", installPath(mac1), ""), http.StatusOK, &d)
	if d.Armed || d.Next.Action != provision.ActionLocal || !strings.Contains(d.Warning, "no space left on device") {
		t.Errorf("the answer is %+v", d)
	}
}

// TestArmWhatTheFileSaysNow: a person who changes a file and arms the install at once
// gets what the file says then, and not what was read of it before.
func TestArmWhatTheFileSaysNow(t *testing.T) {
	b := newBed(t)
	write(t, b.dir, "images/other/etc/hostname", "x")
	write(t, b.dir, "machines/52:54:00:00:00:01.json", `{"image": "other", "hostname": "web-1.example.org"}`)
	var d api.Detail
	decode(t, ask(t, b.Handler(), "POST", installPath(mac1), `{"by": "ann"}`), http.StatusOK, &d)
	if d.Image != "other" || d.Next.Action != provision.ActionInstall {
		t.Errorf("the answer is %+v", d.Machine)
	}
	b.Site.Reload()
	decode(t, ask(t, b.Handler(), "GET", "/api/v1/machines/"+string(mac1), ""), http.StatusOK, &d)
	if d.Next.Action != provision.ActionInstall {
		t.Errorf("once the file is read, the next boot is %+v", d.Next)
	}
}

// TestWipeIsAPersonsWord: a machine that has a system is armed only with wipe, and that
// counts for one install.
func TestWipeIsAPersonsWord(t *testing.T) {
	b := newBed(t)
	b.record(t,
		provision.Event{MAC: mac1, Kind: provision.KindArmed, By: "ann", Text: "armed"},
		provision.Event{MAC: mac1, Kind: provision.KindClaim, Stage: provision.StageAgent, Text: "claimed", System: &provision.System{Image: "debian", Hints: provision.DiskHints{Serial: "S4EW"}}},
		provision.Event{MAC: mac1, Kind: provision.KindDone, Text: "done"})
	wantRefusal(t, ask(t, b.Handler(), "POST", installPath(mac1), `{"by": "ann"}`), http.StatusConflict, "cloudlets install "+string(mac1)+" --wipe")
	var d api.Detail
	decode(t, ask(t, b.Handler(), "POST", installPath(mac1), `{"by": "ann", "wipe": true}`), http.StatusOK, &d)
	if !d.Armed || d.Has == nil || d.Has.Image != "debian" {
		t.Errorf("the answer is %+v", d.Machine)
	}
	if state, _ := b.Tracker.State(mac1); !state.Wipe {
		t.Error("the install that was armed may not wipe")
	}
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindDone, Text: "done"})
	if state, _ := b.Tracker.State(mac1); state.Wipe {
		t.Error("the next install may wipe, too")
	}
}

// TestAMistakeInTheFileArmsNothing: what the file said before is not what a person means
// who has just changed it.
func TestAMistakeInTheFileArmsNothing(t *testing.T) {
	b := newBed(t)
	write(t, b.dir, "machines/52:54:00:00:00:01.json", `{"image": "other" "hostname": "web-1.example.org"}`)
	wantRefusal(t, ask(t, b.Handler(), "POST", installPath(mac1), `{"by": "ann", "wipe": true}`), http.StatusConflict, "mend this first")
	if state, _ := b.Tracker.State(mac1); state.Armed {
		t.Error("the install is armed")
	}
	write(t, b.dir, "machines/52:54:00:00:00:01.json", `{"image": "debian", "hostname": "web-1.example.org"}`)
	ask(t, b.Handler(), "POST", installPath(mac1), `{"by": "ann"}`)
	if state, _ := b.Tracker.State(mac1); !state.Armed {
		t.Error("the file is mended, and the install is not armed")
	}
}
