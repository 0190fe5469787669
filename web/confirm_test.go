package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/provision"
	"cloudlets/web/api"
)

func TestConfirmAPlan(t *testing.T) {
	b := newBed(t)
	p := provision.Proposal{Image: "debian", Disk: provision.DiskInfo{Name: "sda", Serial: "S4EW", Contents: "xfs"}, Lost: "xfs"}
	path := "/api/v1/machines/" + string(mac1)
	confirm := func(digest string) *httptest.ResponseRecorder {
		return ask(t, b.Handler(), "POST", path+"/confirm", fmt.Sprintf(`{"by": "ann", "digest": %q}`, digest))
	}
	wantRefusal(t, confirm(p.Digest()), http.StatusConflict, "waits for nobody")
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindArmed, By: "ann", Text: "armed", Confirm: true},
		provision.Event{MAC: mac1, Kind: provision.KindClaim, Stage: provision.StageAgent, Text: "claimed"},
		provision.Event{MAC: mac1, Kind: provision.KindPlan, Stage: provision.StageConfirm, Text: "will write", Proposal: &p})
	page := get[api.MachinePage](t, b.Handler(), "/api/v1/machines?stage=confirm")
	if len(page.Machines) != 1 || page.Machines[0].Plan == nil || !page.Machines[0].Plan.Waits || !page.Machines[0].Installing ||
		api.Steps()[page.Machines[0].Step-1] != provision.StageAgent {
		t.Fatalf("the table has %+v", page.Machines)
	}
	plan := page.Machines[0].Plan
	if plan.Digest != p.Digest() || !strings.Contains(plan.Text, "serial S4EW") || plan.Lost != "xfs" {
		t.Errorf("the plan is shown as %+v", plan)
	}
	for _, body := range []string{"", "{", "{}", `{"by": "ann"}`, `{"digest": "x"}`} {
		wantRefusal(t, ask(t, b.Handler(), "POST", path+"/confirm", body), http.StatusBadRequest, `"digest" of the machine's "plan"`)
	}
	wantRefusal(t, confirm("sha256:5"), http.StatusConflict, "not what you have seen")
	wantRefusal(t, ask(t, b.ReadOnly(), "POST", path+"/confirm", ""), http.StatusForbidden, "read-only")
	var d api.Detail
	decode(t, confirm(plan.Digest), http.StatusOK, &d)
	if d.Plan == nil || d.Plan.Waits || d.Plan.ConfirmedBy != "ann" {
		t.Errorf("once confirmed: %+v", d.Plan)
	}
}

// TestAnotherSitesPageOrdersNothing: a person's browser may reach the socket by a port.
func TestAnotherSitesPageOrdersNothing(t *testing.T) {
	b := newBed(t)
	for origin, want := range map[string]int{"cross-site": http.StatusForbidden, "same-origin": http.StatusOK, "": http.StatusOK} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", installPath(mac1), nil)
		if origin != "" {
			r.Header.Set("Sec-Fetch-Site", origin)
		}
		w := httptest.NewRecorder()
		b.Handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("from %q: %d, want %d", origin, w.Code, want)
		}
	}
}

// TestThePageKnowsWhetherItMayConfirm: it has no button where the server would refuse.
func TestThePageKnowsWhetherItMayConfirm(t *testing.T) {
	b := newBed(t)
	for name, h := range map[string]http.Handler{"data-readonly": b.ReadOnly(), "": b.Handler()} {
		if text := ask(t, h, "GET", "/", "").Body.String(); strings.Contains(text, "data-readonly") != (name != "") {
			t.Errorf("want %q in:\n%.600s", name, text)
		}
	}
}

// TestTheReportOfAnInstall stays until the next one that ends well.
func TestTheReportOfAnInstall(t *testing.T) {
	b := newBed(t)
	p := provision.Proposal{Image: "debian"}
	report := provision.Report{Fetched: 5, Written: 9, Files: 2, Stages: []provision.StageSeconds{{Stage: provision.StageStream, Seconds: 1.5}}, Digests: []string{"sha256:1"}}
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindClaim, Stage: provision.StageAgent, Text: "claimed", System: &provision.System{Image: "debian"}},
		provision.Event{MAC: mac1, Kind: provision.KindPlan, Text: "will write", Proposal: &p},
		provision.Event{MAC: mac1, Kind: provision.KindDone, Text: "complete", Report: &report},
		provision.Event{MAC: mac1, Kind: provision.KindFailed, Text: "another attempt"})
	d := get[api.Detail](t, b.Handler(), "/api/v1/machines/"+string(mac1))
	if diff := cmp.Diff(&report, d.Report); diff != "" || d.Plan != nil {
		t.Errorf("the plan is %+v, and the report differs: %s", d.Plan, diff)
	}
}
