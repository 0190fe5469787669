package web_test

import (
	"net/http"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/rollout/book"
	"cloudlets/provision/store"
	"cloudlets/web/api"
)

const rolloutsPath = "/api/v1/rollouts"

// TestRollouts: a roll-out is begun, shown, stopped and resumed, with how far its machines are.
func TestRollouts(t *testing.T) {
	kept := &store.Memory{}
	b := newBedOn(t, kept)
	var err error
	if b.Rollouts, err = book.Open(t.Context(), kept, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Rollouts.Close)
	h := b.Handler()
	var list []api.Rollout
	decode(t, ask(t, h, "GET", rolloutsPath, ""), http.StatusOK, &list)
	if list == nil || len(list) != 0 {
		t.Errorf("at first there are %v", list)
	}
	for body, want := range map[string]string{
		"":  "want {",
		"{": "want {",
		`{"machines": ["web-1.example.org"], "atATime": 1, "stopAfter": 1}`: `"by" is absent`,
		`{"by": "ann", "machines": [], "atATime": 1, "stopAfter": 1}`:       "no machines",
		`{"by": "ann", "machines": ["52:54:00:00:00:01"], "stopAfter": 1}`:  "1 to 500 at a time",
		`{"by": "ann", "machines": ["52:54:00:00:00:01"], "atATime": 1}`:    "stop after 0",
	} {
		wantRefusal(t, ask(t, h, "POST", rolloutsPath, body), http.StatusBadRequest, want)
	}
	wantRefusal(t, ask(t, h, "POST", rolloutsPath, `{"by": "ann", "machines": ["`+string(mac9)+`"], "atATime": 1, "stopAfter": 1}`), http.StatusConflict, "machines/52:54:00:00:00:09.json")
	wantRefusal(t, ask(t, h, "POST", rolloutsPath, `{"by": "ann", "machines": ["`+string(mac1)+`"], "atATime": 1, "stopAfter": 1, "power": true}`), http.StatusConflict, "cannot be switched")
	wantRefusal(t, ask(t, h, "POST", rolloutsPath, strings.Repeat(" ", 3<<20)), http.StatusRequestEntityTooLarge, "fewer machines")

	const body = `{"by": "ann", "machines": ["web-2.example.org", "web-1.example.org"], "atATime": 1, "stopAfter": 1}`
	var r api.Rollout
	decode(t, ask(t, h, "POST", rolloutsPath, body), http.StatusOK, &r)
	if r.Name != "r1" || r.By != "ann" || r.Phase != rollout.Running || r.All != 2 || r.Waiting != 2 || r.Waves != 2 || len(r.Machines) != 2 ||
		r.Machines[0].MAC != mac2 || r.Machines[0].Hostname != "web-2.example.org" || r.Machines[1].Wave != 2 || r.Machines[1].Phase != rollout.Waiting {
		t.Errorf("it began as %+v", r)
	}
	wantRefusal(t, ask(t, h, "POST", rolloutsPath, body), http.StatusConflict, "is in the roll-out r1")
	if err := b.Rollouts.Note(t.Context(), "r1", "", mac2, rollout.Waiting, rollout.Step{Phase: rollout.Armed, Armed: noon}); err != nil {
		t.Fatal(err)
	}
	decode(t, ask(t, b.ReadOnly(), "GET", rolloutsPath+"/r1", ""), http.StatusOK, &r)
	if r.Armed != 1 || r.Machines[0].Phase != rollout.Armed {
		t.Errorf("armed: %+v", r)
	}
	b.record(t, provision.Event{MAC: mac2, Kind: provision.KindArmed, By: "ann", Text: "armed"}, entered(mac2, provision.StageStream, 1))
	decode(t, ask(t, h, "GET", rolloutsPath+"/r1", ""), http.StatusOK, &r)
	if r.Machines[0].Phase != api.Installing || r.Machines[0].Stage != provision.StageStream {
		t.Errorf("installing: %+v", r.Machines[0])
	}
	decode(t, ask(t, h, "POST", rolloutsPath+"/r1/stop", `{"by": "bob"}`), http.StatusOK, &r)
	if r.Phase != rollout.Stopped || r.Why != "stopped by bob" {
		t.Errorf("stopped: %+v", r)
	}
	wantRefusal(t, ask(t, h, "POST", rolloutsPath+"/r1/stop", ""), http.StatusConflict, "stopped already")
	decode(t, ask(t, h, "POST", rolloutsPath+"/r1/resume", ""), http.StatusOK, &r)
	decode(t, ask(t, h, "GET", rolloutsPath, ""), http.StatusOK, &list)
	if len(list) != 1 || list[0].Phase != rollout.Running || list[0].Machines != nil {
		t.Errorf("listed are %+v", list)
	}
	wantRefusal(t, ask(t, h, "GET", rolloutsPath+"/r2", ""), http.StatusNotFound, `"r2"`)
	wantRefusal(t, ask(t, h, "POST", rolloutsPath+"/r2/stop", ""), http.StatusNotFound, `"r2"`)
	wantRefusal(t, ask(t, h, "POST", rolloutsPath+"/r1/stop", "{"), http.StatusBadRequest, "want {")
	wantRefusal(t, ask(t, b.ReadOnly(), "POST", rolloutsPath+"/r1/stop", ""), http.StatusForbidden, "read-only")
}
