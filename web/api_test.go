package web_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/web/api"
)

func TestTableOfMachines(t *testing.T) {
	b := newBed(t)
	b.record(t,
		provision.Event{MAC: mac9, Kind: provision.KindDHCP, Stage: provision.StageStranger, Text: "asked", Facts: map[string]string{"address": "10.0.0.99", "firmware": "bios"}},
		provision.Event{MAC: mac2, Kind: provision.KindArmed, By: "ann", Text: "armed"},
		entered(mac2, provision.StageStream, time.Second),
		provision.Event{MAC: mac2, Kind: provision.KindProgress, Progress: &provision.Progress{Done: 30, Total: 120, Rate: 9}},
	)
	page := get[api.MachinePage](t, b.Handler(), "/api/v1/machines")
	table := page.Machines
	if len(table) != 3 || page.Next != "" {
		t.Fatalf("%d machines, want 3, and then %q", len(table), page.Next)
	}
	wantCounts := api.Counts{All: 3, Installing: 1, Strangers: 1, Stages: map[provision.Stage]int{
		provision.StageNew: 1, provision.StageStream: 1, provision.StageStranger: 1}}
	if diff := cmp.Diff(wantCounts, page.Counts); diff != "" {
		t.Error(diff)
	}
	never, busy, stranger := table[0], table[1], table[2]
	if never.MAC != mac1 || never.Hostname != "web-1.example.org" || never.Image != "debian" || never.Address != "10.0.0.21" ||
		never.Stage != provision.StageNew || never.Step != 0 || !never.Described || never.Next.Action != provision.ActionLocal ||
		!strings.Contains(never.Next.Reason, "no install is armed") {
		t.Errorf("a machine never seen is %+v", never)
	}
	if want := (&api.Progress{Progress: provision.Progress{Done: 30, Total: 120, Rate: 9}, Percent: 25, Left: 10}); !cmp.Equal(busy.Progress, want) {
		t.Errorf("progress %+v, want %+v", busy.Progress, want)
	}
	if !busy.Armed || busy.ArmedBy != "ann" || !busy.Installing || api.Steps()[busy.Step-1] != provision.StageStream || busy.Next.Action != provision.ActionInstall {
		t.Errorf("a machine at work is %+v", busy)
	}
	if stranger.MAC != mac9 || stranger.Described || stranger.Address != "10.0.0.99" || stranger.Facts["firmware"] != "bios" || stranger.Next.Action != provision.ActionDiscover {
		t.Errorf("a stranger is %+v", stranger)
	}
}

func TestProgressOnTheWire(t *testing.T) {
	b := newBed(t)
	b.record(t, entered(mac1, provision.StageStream, 0),
		provision.Event{MAC: mac1, Kind: provision.KindProgress, Progress: &provision.Progress{Done: 1, Total: 2, Rate: 1}})
	w := ask(t, b.Handler(), "GET", "/api/v1/machines/"+string(mac1), "")
	if want := `"progress":{"done":1,"total":2,"rate":1,"percent":50,"left":1}`; !strings.Contains(w.Body.String(), want) {
		t.Errorf("no %s in %s", want, w.Body)
	}
}

func TestAMachineThatFailedIsAtTheStepWhereItDid(t *testing.T) {
	b := newBed(t)
	b.record(t, entered(mac1, provision.StageAgent, 0), entered(mac1, provision.StagePartition, time.Second),
		provision.Event{MAC: mac1, Kind: provision.KindFailed, Text: "no disk matches"})
	d := get[api.Detail](t, b.Handler(), "/api/v1/machines/"+string(mac1))
	if d.Stage != provision.StageFailed || d.Failure != "no disk matches" || api.Steps()[d.Step-1] != provision.StagePartition {
		t.Errorf("got %+v", d.Machine)
	}
}

func TestOneMachineInDetail(t *testing.T) {
	b := newBed(t)
	b.record(t, entered(mac1, provision.StageFirmware, -10*time.Second), entered(mac1, provision.StageKernel, -7*time.Second))
	w := ask(t, b.Handler(), "GET", "/api/v1/machines/"+string(mac1), "")
	if strings.Contains(w.Body.String(), "hunter2") {
		t.Error("the answer gives the password away")
	}
	var d api.Detail
	decode(t, w, http.StatusOK, &d)
	wantSpans := []api.StageSpan{
		{Stage: provision.StageFirmware, Start: noon.Add(-10 * time.Second), Seconds: 3},
		{Stage: provision.StageKernel, Start: noon.Add(-7 * time.Second), Seconds: 7, Running: true},
	}
	if diff := cmp.Diff(wantSpans, d.Stages); diff != "" {
		t.Error(diff)
	}
	wantSpec := &api.Spec{
		Image: "debian", Hostname: "web-1.example.org", Address: "10.0.0.21", Disk: &provision.DiskHints{Serial: "S4EW"},
		Filesystem: "ext4", Retry: provision.DefaultRetry, Handover: provision.Switch, Args: []string{"password"},
	}
	if diff := cmp.Diff(wantSpec, d.Spec); diff != "" {
		t.Error(diff)
	}
}

func TestAnEndedBootRunsNoLonger(t *testing.T) {
	b := newBed(t)
	b.record(t, entered(mac1, provision.StageFirmware, -10*time.Second), entered(mac1, provision.StageLocal, -9*time.Second))
	d := get[api.Detail](t, b.Handler(), "/api/v1/machines/"+string(mac1))
	if last := d.Stages[1]; last.Running || last.Seconds != 0 {
		t.Errorf("the last stage is %+v", last)
	}
}

func TestNamesOfMachines(t *testing.T) {
	b := newBed(t)
	write(t, b.dir, "machines/52:54:00:00:00:03.json", `{"hostname": "db.a.example.org"}`)
	write(t, b.dir, "machines/52:54:00:00:00:04.json", `{"hostname": "db.b.example.org"}`)
	b.Site.Reload()
	h := b.Handler()
	for name, want := range map[string]provision.MAC{
		"52:54:00:00:00:01": mac1, "52-54-00-00-00-01": mac1, "525400000001": mac1, "5254.0000.0001": mac1,
		"web-2.example.org": mac2, "WEB-2.Example.org": mac2, "web-2": mac2,
		"db.a.example.org": "52:54:00:00:00:03",
	} {
		if got := get[api.Detail](t, h, "/api/v1/machines/"+name); got.MAC != want {
			t.Errorf("%s is %s, want %s", name, got.MAC, want)
		}
	}
	wantRefusal(t, ask(t, h, "GET", "/api/v1/machines/db", ""), http.StatusConflict, "52:54:00:00:00:03, 52:54:00:00:00:04")
	wantRefusal(t, ask(t, h, "GET", "/api/v1/machines/web-7", ""), http.StatusNotFound, `no machine is called "web-7"`)
	wantRefusal(t, ask(t, h, "GET", "/api/v1/machines/"+string(mac9), ""), http.StatusNotFound, "it was never seen")
	wantRefusal(t, ask(t, h, "GET", "/api/v1/machines/web-7/events", ""), http.StatusNotFound, "no machine is called")
	wantRefusal(t, ask(t, h, "GET", "/api/v1/machines/"+string(mac9)+"/events", ""), http.StatusNotFound, "it was never seen")
	wantRefusal(t, ask(t, h, "GET", "/api/v1/machines/web-7/follow", ""), http.StatusNotFound, "no machine is called")
	wantRefusal(t, ask(t, h, "POST", "/api/v1/machines/web-7/install", ""), http.StatusNotFound, "no machine is called")
}

func TestEventsOfAMachine(t *testing.T) {
	b := newBed(t)
	for i := range 5 {
		b.record(t, logged(mac1, fmt.Sprint("event ", i)), logged(mac2, "of the other"))
	}
	h := b.Handler()
	path := "/api/v1/machines/" + string(mac1) + "/events"
	all := get[[]provision.Event](t, h, path)
	if len(all) != 5 || all[0].Text != "event 0" || all[4].Text != "event 4" {
		t.Fatalf("got %v", all)
	}
	if got := get[[]provision.Event](t, h, fmt.Sprint(path, "?after=", all[2].ID)); len(got) != 2 || got[0].ID != all[3].ID {
		t.Errorf("after the third: %v", got)
	}
	if got := get[[]provision.Event](t, h, path+"?limit=2"); len(got) != 2 || got[1].ID != all[4].ID {
		t.Errorf("the latest two: %v", got)
	}
	if w := ask(t, h, "GET", fmt.Sprint(path, "?after=", all[4].ID), ""); strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("after the last: %s", w.Body)
	}
	for _, query := range []string{"?after=x", "?after=-1", "?limit=many", "?limit=-5", "?after=18446744073709551615"} {
		wantRefusal(t, ask(t, h, "GET", path+query, ""), http.StatusBadRequest, "is not a number")
	}
}

func TestImages(t *testing.T) {
	b := newBed(t)
	write(t, b.dir, "images/broken/etc/hostname", "x")
	write(t, b.dir, "images/again/etc/hostname", "x")
	write(t, b.dir, "machines/52:54:00:00:00:03.json", `{"image": "debian", "entrypoint": "serial"}`)
	write(t, b.dir, "machines/52:54:00:00:00:04.json", `{"image": "not-there"}`)
	b.Site.Reload()
	kit := &depot.Kit{Pack: depot.File{Digest: "sha256:1", Size: 116}, Kernel: depot.File{Size: 7}, RAMDisk: depot.File{Size: 9}, Bytes: 330, Entries: 12}
	b.images.set(depot.Key{Image: "debian"}, depot.Status{Kit: kit})
	b.images.set(depot.Key{Image: "debian", EntryPoint: "serial"}, depot.Status{Busy: true})
	b.images.set(depot.Key{Image: "broken"}, depot.Status{Err: errors.New("it has no kernel")})
	b.images.set(depot.Key{Image: "again"}, depot.Status{Kit: kit, Err: errors.New("old"), Busy: true})
	ready := api.Image{Name: "debian", Status: api.ImageReady, Bytes: 330, Pack: 116, Kernel: 7, RAMDisk: 9, Entries: 12, Digest: "sha256:1", Machines: 2}
	again := ready
	again.Name, again.Status, again.Machines = "again", api.ImagePacking, 0
	want := []api.Image{
		again,
		{Name: "broken", Status: api.ImageFailed, Error: "it has no kernel"},
		ready,
		{Name: "debian", EntryPoint: "serial", Status: api.ImagePacking, Machines: 1},
	}
	if diff := cmp.Diff(want, get[[]api.Image](t, b.Handler(), "/api/v1/images")); diff != "" {
		t.Error(diff)
	}
}

func TestProblems(t *testing.T) {
	b := newBed(t)
	if w := ask(t, b.Handler(), "GET", "/api/v1/problems", ""); strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("a good site: %s", w.Body)
	}
	write(t, b.dir, "machines/52:54:00:00:00:01.json", "{\n  \"imege\": \"debian\"}")
	b.Site.Reload()
	got := get[[]jsontext.Problem](t, b.Handler(), "/api/v1/problems")
	if len(got) != 1 || got[0].File != "machines/52:54:00:00:00:01.json" || got[0].Line != 2 || !strings.Contains(got[0].Reason, "imege") {
		t.Errorf("got %v", got)
	}
}

func TestStatus(t *testing.T) {
	b := newBed(t)
	b.record(t, entered(mac1, provision.StageStream, 0), logged(mac9, "hello"))
	want := api.Status{
		Version: "1.2.3", Site: b.dir, Started: noon.Add(-time.Minute), Uptime: 60, Images: 1,
		Machines: api.Counts{All: 3, Installing: 1, Waiting: 1, Strangers: 1, Stages: map[provision.Stage]int{provision.StageNew: 2, provision.StageStream: 1}},
	}
	if diff := cmp.Diff(want, get[api.Status](t, b.Handler(), "/api/v1/status")); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNotInTheAPI(t *testing.T) {
	h := newBed(t).Handler()
	wantRefusal(t, ask(t, h, "GET", "/api/v1/nothing", ""), http.StatusNotFound, "/api/v1/nothing")
	wantRefusal(t, ask(t, h, "GET", "/elsewhere", ""), http.StatusNotFound, "its API at /api/v1/")
	wantRefusal(t, ask(t, h, "GET", "/page/answer.go", ""), http.StatusNotFound, "there is nothing")
	wantRefusal(t, ask(t, h, "GET", "/page/index.html", ""), http.StatusNotFound, "there is nothing")
	for path, allowed := range map[string]string{
		"/api/v1/machines":                             "GET",
		"/api/v1/events":                               "GET",
		"/api/v1/machines/" + string(mac1):             "DELETE, GET",
		"/api/v1/machines/" + string(mac1) + "/follow": "GET",
		"/":               "GET",
		"/page/style.css": "GET",
	} {
		w := ask(t, h, "PUT", path, "")
		wantRefusal(t, w, http.StatusMethodNotAllowed, "PUT")
		if got := w.Header().Get("Allow"); got != allowed {
			t.Errorf("%s allows %q, want %q", path, got, allowed)
		}
	}
	if got := ask(t, h, "GET", "/api/v1/machines/"+string(mac1)+"/install", "").Header().Get("Allow"); got != "DELETE, POST" {
		t.Errorf("install allows %q", got)
	}
}
