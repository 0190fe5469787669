package httpboot

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/disk/bootloader"
	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// systemdImage has a systemd and a bash.
func systemdImage(dir string) {
	for _, name := range []string{"usr/lib/systemd/systemd", "usr/bin/bash"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			panic(err)
		}
		writeText(dir, name, "")
	}
}

// runningURL claims a plan, and returns the URL that the installed system will call.
func (b *bed) runningURL(mac provision.MAC) (url string, plan wire.Plan) {
	b.t.Helper()
	plan = b.claim(mac)
	_, files := b.overlayOf(plan)
	url, path, _ := strings.Cut(strings.TrimSuffix(files["/etc/cloudlets/running"], "\n"), "/running/")
	if url != b.Base {
		b.t.Fatalf("the overlay has %q", files)
	}
	return "/running/" + path, plan
}

// TestSystemSaysThatItRuns: the URL in the overlay says that the machine runs, once it
// was installed, and for as long as it has that system.
func TestSystemSaysThatItRuns(t *testing.T) {
	b := newBed(t, systemdImage)
	url, plan := b.runningURL(node1)
	b.get(url).want(t, http.StatusGone) // it is not installed yet
	b.report(plan.Session, provision.Event{Kind: provision.KindDone, Text: "done"})
	state := b.state(node1)
	if state.Has == nil || !state.Has.Tells || state.Has.Image != "web" || state.Has.Pack != plan.Pack.Digest {
		t.Fatalf("the machine has %+v", state.Has)
	}
	for _, wrong := range []string{"/running/" + string(node2) + url[len("/running/")+17:], url + "0", url[:len(url)-1] + "x", "/running/x/y"} {
		if a := b.get(wrong); a.StatusCode != http.StatusGone && a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", wrong, a.StatusCode)
		}
	}
	if s := b.state(node1); s.Running != nil {
		t.Fatalf("a wrong token makes it run: %+v", s.Running)
	}
	b.get(url+"?uptime=34.21").want(t, http.StatusNoContent)
	if s := b.state(node1); s.Stage != provision.StageRunning || s.Running == nil || s.Running.Boot.Seconds() != 34 {
		t.Errorf("the state is %+v", s)
	}
	b.wantTrace(node1, "the system runs; its kernel started 34s before")

	// A new install has a new URL, and the old system's is good for nothing then.
	must(t, b.Tracker.Record(t.Context(), provision.Event{MAC: node1, Kind: provision.KindArmed, By: "ann", Text: "armed", Wipe: true}))
	again, plan := b.runningURL(node1)
	b.report(plan.Session, provision.Event{Kind: provision.KindDone, Text: "done"})
	if again == url {
		t.Error("two installs have one URL")
	}
	b.get(url).want(t, http.StatusGone)
	b.get(again).want(t, http.StatusNoContent)
}

// TestSystemThatCannotSayIt: without a program that starts services, or if the file
// says so, nothing is added, and nobody waits for the call.
func TestSystemThatCannotSayIt(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	if _, files := b.overlayOf(plan); files["/etc/cloudlets/running"] != "" {
		t.Errorf("the overlay has %q", files)
	}
	b.wantTrace(node1, "the installed system will not say that it runs")
	b.report(plan.Session, provision.Event{Kind: provision.KindDone, Text: "done"})
	if s := b.state(node1); s.Has == nil || s.Has.Tells {
		t.Errorf("the machine has %+v", s.Has)
	}

	b = newBed(t, systemdImage)
	b.change(node1, func(s *provision.Spec) { s.Silent = true })
	if _, files := b.overlayOf(b.claim(node1)); files["/etc/cloudlets/running"] != "" {
		t.Errorf("with \"running\": false the overlay has %q", files)
	}
}

// TestMachineFallsBack: the system in the other slot says that it runs, and the trace says
// why.
func TestMachineFallsBack(t *testing.T) {
	b := newBed(t, systemdImage)
	b.change(node1, func(s *provision.Spec) { s.Slots = 2 })
	install := func(slot string, beside bool) (url string) {
		url, plan := b.runningURL(node1)
		if !plan.Target.Slots || plan.BootLoaders[bootloader.GRUBAMD64].Size == 0 {
			t.Errorf("the plan is %+v", plan)
		}
		b.report(plan.Session, provision.Event{Kind: provision.KindStage, Stage: provision.StagePartition, Text: "begins", Slot: slot, Beside: beside})
		b.report(plan.Session, provision.Event{Kind: provision.KindDone, Text: "done", Slot: slot, Beside: beside})
		return url
	}
	first := install("a", false)
	b.get(first).want(t, http.StatusNoContent)
	update := func() (url string) {
		must(t, b.Tracker.Record(t.Context(), provision.Event{MAC: node1, Kind: provision.KindArmed, By: "ann", Text: "armed"}))
		return install("b", true)
	}
	second := update()
	b.get(first).want(t, http.StatusNoContent)
	b.wantTrace(node1, "the machine is back to slot A with web; web in slot B was on trial: it was started, and never said that it runs")
	if s := b.state(node1); s.Has == nil || s.Has.Slot != "a" || s.Kept == nil || s.Kept.Slot != "b" || s.Stage != provision.StageRunning {
		t.Errorf("after the fall-back the state is %+v", s)
	}
	third := update()
	b.get(third).want(t, http.StatusNoContent)
	if s := b.state(node1); s.Has.Slot != "b" || s.Has.Ran.IsZero() {
		t.Errorf("the machine has %+v", s.Has)
	}
	b.get(second).want(t, http.StatusGone) // its slot has another system now
	b.get(first).want(t, http.StatusNoContent)
	b.wantTrace(node1, "and did not stay up long enough to be accepted")
}
