package web_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/power"
	"cloudlets/provision/power/desk"
	"cloudlets/web/api"
)

// outlet is a controller of one machine that does what it is told.
type outlet struct{ state power.State }

func (o *outlet) State(context.Context) (power.State, error) { return o.state, nil }

func (o *outlet) Do(_ context.Context, action power.Action) error {
	if action == power.BootNetwork {
		return power.Unsupported(action, "set it in the firmware")
	}
	o.state = power.IsOn
	return nil
}

// TestPower: a machine is switched by the API, with its outcome and with who asked.
func TestPower(t *testing.T) {
	b := newBed(t)
	write(t, b.dir, "machines/52:54:00:00:00:03.json", `{"image": "debian", "power": {"command": ["/bin/pdu", "hunter2"]}}`)
	b.Site.Reload()
	const mac3 provision.MAC = "52:54:00:00:00:03"
	path := "/api/v1/machines/" + string(mac3) + "/power"
	o := &outlet{state: power.IsOff}
	b.Power = desk.New(desk.Options{
		Open:    func(*provision.Spec) (power.Controller, error) { return o, nil },
		Record:  func(ctx context.Context, e provision.Event) { _ = b.Tracker.Record(ctx, e) },
		Stagger: func() time.Duration { return 0 },
	})
	h := b.Handler()
	var state api.PowerState
	decode(t, ask(t, h, "GET", path, ""), http.StatusOK, &state)
	if state != (api.PowerState{MAC: mac3, State: power.IsOff, By: "command"}) {
		t.Errorf("%+v", state)
	}
	var job desk.Job
	decode(t, ask(t, h, "POST", path, `{"action": "on", "by": "ann"}`), http.StatusOK, &job)
	if !job.Done || job.Error != "" || job.Text != "is switched on" || job.By != "ann" || o.state != power.IsOn {
		t.Errorf("%+v", job)
	}
	decode(t, ask(t, h, "POST", path, `{"action": "cycle", "network": true, "by": "ann"}`), http.StatusOK, &job)
	if !strings.Contains(job.Error, "set it in the firmware") {
		t.Errorf("%+v", job)
	}
	for body, want := range map[string]string{
		"": "read request", "{": "read request", `{"action": "melt", "by": "ann"}`: "not a power action",
		`{"action": "on", "by": ""}`: `"by" is empty`, `{"action": "on", "force": true, "by": "ann"}`: "only off can be forced",
	} {
		wantRefusal(t, ask(t, h, "POST", path, body), http.StatusBadRequest, want)
	}
	wantRefusal(t, ask(t, h, "GET", path+"?job=77", ""), http.StatusNotFound, "no power order 77")
	wantRefusal(t, ask(t, h, "GET", "/api/v1/machines/"+string(mac1)+"/power", ""), http.StatusConflict, `add "power"`)
	wantRefusal(t, ask(t, b.ReadOnly(), "GET", path, ""), http.StatusForbidden, "cloudlets power")
	var told []string
	for _, e := range b.events(t, mac3) {
		if e.Kind != provision.KindPower || e.By != "ann" {
			t.Errorf("%+v", e)
		}
		told = append(told, e.Text)
	}
	if got := strings.Join(told, ", "); !strings.Contains(got, "power on ordered") || !strings.Contains(got, "is switched on") || !strings.Contains(got, "failed") {
		t.Errorf("the trace has %s", got)
	}
	if shown := ask(t, h, "GET", "/api/v1/machines/"+string(mac3), "").Body.String(); strings.Contains(shown, "hunter2") || !strings.Contains(shown, "/bin/pdu") {
		t.Errorf("it shows %s", shown)
	}
}
