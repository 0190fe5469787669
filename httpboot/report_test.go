package httpboot

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/httpboot/requests"
	"cloudlets/provision"
	"cloudlets/provision/track"
	"cloudlets/provision/wire"
)

func (b *bed) report(session string, events ...provision.Event) answer {
	b.t.Helper()
	for i := range events {
		if events[i].MAC == "" {
			events[i].MAC = node1
		}
	}
	return b.do(http.MethodPost, wire.EventsPath, session, events)
}

func TestReports(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	b.report(plan.Session,
		provision.Event{MAC: node2, ID: 99, By: "root", Kind: provision.KindStage, Stage: provision.StageStream, Text: "streaming web to vda"},
		provision.Event{Kind: provision.KindProgress, Progress: &provision.Progress{Done: 1, Total: 4}},
		provision.Event{Kind: provision.KindLog, Text: "a slow disk"},
	).want(t, http.StatusNoContent)
	state := b.state(node1)
	if state.Stage != provision.StageStream || state.Progress == nil || state.Progress.Percent() != 25 {
		t.Errorf("the state is %s", state)
	}
	b.wantTrace(node1, "streaming web to vda", "a slow disk")
	if strings.Contains(b.trace(node1), "by root") {
		t.Error("an agent says that a person did it")
	}
	if _, known := b.Tracker.State(node2); known {
		t.Error("an agent reports for another machine")
	}
}

// TestDone: the install is over, disarmed, and the next boot goes to the disk.
func TestDone(t *testing.T) {
	b := newBed(t, nil)
	spec, _ := b.site.Spec(node1)
	must(t, b.Tracker.Arm(t.Context(), node1, &spec, track.Order{By: "anna"}))
	plan := b.claim(node1)
	done := provision.Event{Kind: provision.KindDone, Stage: provision.StageInstalled, Text: "the disk vda is complete", Facts: map[string]string{"disk": "vda"}}
	b.report(plan.Session, done).want(t, http.StatusNoContent)
	state := b.state(node1)
	if state.Armed || state.Installs != 1 || state.Stage != provision.StageInstalled || state.Facts["disk"] != "vda" {
		t.Errorf("after the install the state is %+v", state)
	}
	b.report(plan.Session, done).want(t, http.StatusNoContent) // its answer was lost
	if state := b.state(node1); state.Installs != 1 {
		t.Errorf("one install told twice counts %d", state.Installs)
	}
	b.report(plan.Session, provision.Event{Kind: provision.KindStage, Stage: provision.StageStream}).want(t, http.StatusForbidden, "its install has ended")
	b.report(plan.Session, provision.Event{Kind: provision.KindFailed}).want(t, http.StatusForbidden)
	b.do(http.MethodGet, overlayPath, plan.Session, nil).want(t, http.StatusForbidden, "its install has ended")
	golden(t, "installed.ipxe", b.script(node1), state.InstalledAt.Format("2006-01-02 15:04:05"), "WHEN")
	boot := b.Boot(t.Context(), dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.PXE, Firmware: dhcp.BIOS})
	if boot.File != "" || !strings.Contains(boot.Reason, "it was installed at") {
		t.Errorf("DHCP answers an installed BIOS machine with %+v", boot)
	}
}

// TestCalledOff: an install that a person has called off does not end well,
// whatever its agent says.
func TestCalledOff(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	must(t, b.Tracker.Disarm(t.Context(), node1, "anna", "wrong disk"))
	must(t, b.Tickets.End(t.Context(), node1, "cancelled by anna"))
	must(t, b.Tracker.Record(t.Context(), provision.Event{MAC: node1, Kind: provision.KindFailed, Text: "cancelled by anna"}))
	b.report(plan.Session, provision.Event{Kind: provision.KindDone}).want(t, http.StatusForbidden, "cancelled by anna")
	b.report(plan.Session, provision.Event{Kind: provision.KindFailed}).want(t, http.StatusNoContent)
	if state := b.state(node1); state.Installs != 0 || state.Failure != "cancelled by anna" {
		t.Errorf("the state is %+v", state)
	}
}

// TestFailed: the machine stays armed, and a second try begins anew.
func TestFailed(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	b.report(plan.Session, provision.Event{Kind: provision.KindFailed, Text: "write /dev/vda: input/output error"}).want(t, http.StatusNoContent)
	if state := b.state(node1); state.Stage != provision.StageFailed || state.Failure != "write /dev/vda: input/output error" {
		t.Errorf("the state is %+v", state)
	}
	request := b.request(node1)
	request.Nonce = "the second boot"
	second := b.claimAs(request)
	if state := b.state(node1); state.Failure != "" || second.Session == plan.Session {
		t.Errorf("the second try: %+v", state)
	}
	b.report(plan.Session, provision.Event{Kind: provision.KindDone}).want(t, http.StatusForbidden)
}

// TestNewBootEndsOldSession: an agent whose machine has started again is told.
func TestNewBootEndsOldSession(t *testing.T) {
	b := newBed(t, nil)
	old := b.claim(node1)
	request := b.request(node1)
	request.Nonce = "the second boot"
	b.claimAs(request)
	b.report(old.Session, provision.Event{Kind: provision.KindDone}).want(t, http.StatusForbidden, "the machine started again")
	if b.state(node1).Installs != 0 {
		t.Error("an old agent ends the new agent's install")
	}
}

func TestBadReports(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	before := b.trace(node1)
	many := "[" + strings.Repeat(`{"kind":"log"},`, maxReport) + `{"kind":"log"}]`
	for body, word := range map[string]string{
		"":                                     "want a JSON list of events",
		"{}":                                   "want a JSON list of events",
		"[]]":                                  "want a JSON list of events",
		many:                                   "want at most 256 events, have 257",
		strings.Repeat("[", 1<<20):             "it is longer than",
		`[{"kind": "log"}, {"kind": "armed"}]`: `an agent cannot report events of kind "armed"`,
		`[{"kind": "disarmed"}]`:               "cannot report events",
		`[{"kind": "claim"}]`:                  "cannot report events",
		`[{"kind": "decision"}]`:               "cannot report events",
		`[{"kind": ""}]`:                       "cannot report events",
		`[{"kind": "stage", "stage": "new"}]`:  `cannot report the stage "new"`,
		`[{"kind": "stage", "stage": "` + strings.Repeat("z", 9999) + `"}]`: "cannot report the stage",
	} {
		if a := b.do(http.MethodPost, wire.EventsPath, plan.Session, body).want(t, http.StatusBadRequest, word); len(a.body) > 2*requests.MaxShown {
			t.Errorf("%d bytes of garbage are answered with %d", len(body), len(a.body))
		}
	}
	if after := b.trace(node1); after != before {
		t.Errorf("bad reports are in the trace:\n%s", after)
	}
	for _, session := range []string{"", "x", strings.Repeat("0", 64)} {
		b.report(session, provision.Event{Kind: provision.KindDone}).want(t, http.StatusForbidden, "no such session")
	}
}

// TestObserved: what DHCP and TFTP see is in the trace, with the reason.
func TestObserved(t *testing.T) {
	b := newBed(t, nil)
	client := dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.PXE, Firmware: dhcp.BIOS, UUID: "u-1"}
	b.SawExchange(dhcp.Exchange{Client: client, Request: "DISCOVER", Reply: "OFFER", Addr: b.TFTP, File: "undionly.kpxe", Reason: "armed"})
	b.Machines.SawTransfer(b.TFTP, "undionly.kpxe", 70_000, nil)
	if state := b.state(node1); state.Stage != provision.StageLoader || state.Facts["uuid"] != "u-1" || state.Facts["address"] != "127.0.0.1" {
		t.Errorf("the state is %+v", state)
	}
	b.Machines.SawTransfer(b.TFTP, "evil\x1b[2J", 0, fmt.Errorf("open evil\x1b[2J: file does not exist"))
	// Straight to the handler: a client has its answer before the event is
	// recorded.
	fetch := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/loader/snponly.efi", nil)
	fetch.RemoteAddr = "127.0.0.1:4567"
	b.Handler().ServeHTTP(httptest.NewRecorder(), fetch)
	b.wantTrace(node1, "DISCOVER from BIOS PXE: OFFER 127.0.0.1, boot file undionly.kpxe: armed",
		"fetched undionly.kpxe by TFTP, 70.0 kB", "could not fetch evil?[2J by TFTP: open evil?[2J", "fetched boot loader snponly.efi by HTTP")
	plain := dhcp.Client{MAC: stranger.HardwareAddr(), Kind: dhcp.Plain, Hostname: "laptop"}
	b.SawExchange(dhcp.Exchange{Client: plain, Request: "DISCOVER", Reply: "OFFER"})
	if _, known := b.Tracker.State(stranger); known {
		t.Error("a laptop of the network is taken for a machine")
	}
	plain.MAC = node1.HardwareAddr()
	b.SawExchange(dhcp.Exchange{Client: plain, Request: "REQUEST"})
	b.wantTrace(node1, "REQUEST from the system laptop: no answer")
}
