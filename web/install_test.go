package web_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/web"
)

func installPath(mac provision.MAC) string { return "/api/v1/machines/" + string(mac) + "/install" }

func TestArmAnInstall(t *testing.T) {
	b := newBed(t)
	var d web.Detail
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
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindArmed, By: "ann", Text: "armed"})
	var d web.Detail
	decode(t, ask(t, b.Handler(), "DELETE", installPath(mac1), `{"by": "bob"}`), http.StatusOK, &d)
	if d.Armed || d.Next.Action != provision.ActionLocal || d.Failure != "" {
		t.Errorf("the answer is %+v", d.Machine)
	}
	if got := b.tickets.ended[mac1]; got != "the install was cancelled by bob" {
		t.Errorf("the tickets were ended for %q", got)
	}
	wantRefusal(t, ask(t, b.Handler(), "DELETE", installPath(mac1), ""), http.StatusConflict, "no install of 52:54:00:00:00:01 to cancel: its install was cancelled")
}

func TestCancelAnInstallThatTheFileAsksFor(t *testing.T) {
	b := newBed(t)
	var d web.Detail
	decode(t, ask(t, b.Handler(), "DELETE", installPath(mac2), ""), http.StatusOK, &d)
	if d.Next.Action != provision.ActionLocal {
		t.Errorf("the next boot is %+v", d.Next)
	}
}

func TestCancelAnInstallUnderWay(t *testing.T) {
	b := newBed(t)
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindArmed, By: "ann", Text: "armed"}, entered(mac1, provision.StageStream, 0))
	var d web.Detail
	decode(t, ask(t, b.Handler(), "DELETE", installPath(mac1), `{"by": "bob"}`), http.StatusOK, &d)
	if d.Stage != provision.StageFailed || d.Failure != "the install was cancelled by bob" || b.tickets.ended[mac1] == "" {
		t.Errorf("the answer is %+v, ended %v", d.Machine, b.tickets.ended)
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

func TestASessionThatCannotBeEnded(t *testing.T) {
	b := newBed(t)
	b.tickets.err = errors.New("no space left on device")
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindArmed, By: "ann", Text: "armed"})
	wantRefusal(t, ask(t, b.Handler(), "DELETE", installPath(mac1), ""), http.StatusInternalServerError, "its agent may go on")
	if state, _ := b.Tracker.State(mac1); state.Armed {
		t.Error("the machine is still armed")
	}
}
