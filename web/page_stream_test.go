package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/members"
	"cloudlets/provision/store"
	"cloudlets/web/api"
)

func TestThePagesStream(t *testing.T) {
	b := newBed(t)
	r := openStream(t, b.Handler(), "/api/v1/live?trace=web-1", "")
	all := parse[api.Everything](t, r.next("everything"))
	if len(all.Machines) != 2 || all.Counts.All != 2 || len(all.Images) != 1 || all.Images[0].Status != api.ImagePacking || all.Problems == nil {
		t.Errorf("at first: %+v", all)
	}

	b.record(t, entered(mac2, provision.StageLoader, 0), entered(mac1, provision.StageStream, 0),
		provision.Event{MAC: mac1, Kind: provision.KindProgress, Progress: &provision.Progress{Done: 1, Total: 2}})
	if e := parse[provision.Event](t, r.next("event")); e.MAC != mac1 || e.Stage != provision.StageStream {
		t.Errorf("the event of the trace is %+v", e)
	}
	for shown := false; !shown; { // the stream may look between two events
		for _, m := range parse[[]api.Machine](t, r.next("machines")) {
			shown = shown || m.MAC == mac1 && m.Progress != nil && m.Progress.Percent == 50
		}
	}
	if counts := parse[api.Counts](t, r.next("counts")); counts.All != 2 {
		t.Errorf("the counts are %+v", counts)
	}

	b.images.set(depot.Key{Image: "debian"}, depot.Status{Kit: &depot.Kit{Pack: depot.File{Size: 116}}})
	if images := parse[[]api.Image](t, r.next("images")); len(images) != 1 || images[0].Status != api.ImageReady {
		t.Errorf("the images are %+v", images)
	}

	write(t, b.dir, "machines/52:54:00:00:00:01.json", `{"image": 7}`)
	b.Site.Reload()
	all = parse[api.Everything](t, r.next("everything"))
	if len(all.Problems) != 1 || all.ProblemCount != 1 || len(all.Machines) != 2 || all.Machines[0].Image != "debian" {
		t.Errorf("after a mistake in a file: %+v", all)
	}
}

// A viewer is told of the machines on the page and of no others.
func TestThePagesStreamIsOfOnePage(t *testing.T) {
	b := newBed(t)
	b.fill(t, 20, provision.StageStream)
	r := openStream(t, b.Handler(), "/api/v1/live?stage=stream&limit=3", "")
	all := parse[api.Everything](t, r.next("everything"))
	if len(all.Machines) != 3 || all.Machines[2].MAC != macOf(2) || all.Next == "" || all.Counts.All != 22 {
		t.Fatalf("at first: %+v", all)
	}
	progress := func(i int) provision.Event {
		return provision.Event{MAC: macOf(i), Kind: provision.KindProgress, Progress: &provision.Progress{Done: 1, Total: 2}}
	}
	for i := 3; i < 20; i++ {
		b.record(t, progress(i))
	}
	b.record(t, progress(1))
	if rows := parse[[]api.Machine](t, r.next("machines")); len(rows) != 1 || rows[0].MAC != macOf(1) {
		t.Errorf("the rows that changed are %+v", rows)
	}
	b.record(t, entered(macOf(0), provision.StageInstalled, 0))
	page := parse[api.MachinePage](t, r.next("page"))
	if len(page.Machines) != 3 || page.Machines[0].MAC != macOf(1) || page.Machines[2].MAC != macOf(3) || page.Counts.Installed != 1 {
		t.Errorf("after one has left the list: %+v", page)
	}
}

// joined is a server that shares a store, with the digest of its copy of the site.
func joined(t *testing.T, shared store.Store, id, digest string) *members.Members {
	t.Helper()
	m, err := members.Join(t.Context(), shared, members.Member{ID: id, Name: id, URL: "http://" + id, Site: digest}, 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestThePagesStreamShowsTheServers(t *testing.T) {
	b := newBed(t)
	shared := &store.Memory{}
	b.Servers = joined(t, shared, "one", "sha256:1")
	var away atomic.Bool
	b.StoreAway = func() (time.Time, error) {
		if away.Load() {
			return noon.Add(-3 * time.Second), errors.New("no leader")
		}
		return time.Time{}, nil
	}
	r := openStream(t, b.Handler(), "/api/v1/live", "")
	if all := parse[api.Everything](t, r.next("everything")); len(all.Servers.Servers) != 1 || len(all.Servers.Warnings) != 0 {
		t.Errorf("at first: %+v", all.Servers)
	}
	joined(t, shared, "two", "sha256:2")
	servers := parse[api.Servers](t, r.next("servers"))
	if len(servers.Servers) != 2 || !servers.Servers[1].SiteDiffers || len(servers.Warnings) != 1 || !strings.Contains(servers.Warnings[0], "copies of the site differ") {
		t.Errorf("with another one: %+v", servers)
	}
	away.Store(true)
	servers = parse[api.Servers](t, r.next("servers"))
	if want := "the store cannot be reached for 3s, so nothing new is given or armed: no leader"; len(servers.Warnings) != 2 || servers.Warnings[0] != want {
		t.Errorf("without the store: %+v", servers)
	}
}

// However many files are wrong, the page shows some and says how many there are.
func TestThePagesStreamBoundsTheProblems(t *testing.T) {
	b := newBed(t)
	for i := range 150 {
		write(t, b.dir, fmt.Sprintf("machines/%s.json", macOf(i)), `{"image": 7}`)
	}
	b.Site.Reload()
	all := parse[api.Everything](t, openStream(t, b.Handler(), "/api/v1/live", "").next("everything"))
	if len(all.Problems) != 100 || all.ProblemCount != 150 {
		t.Errorf("%d problems of %d", len(all.Problems), all.ProblemCount)
	}
}

// A machine that its file made known, and nothing else, goes away with the file.
func TestThePagesStreamLosesAMachine(t *testing.T) {
	b := newBed(t)
	r := openStream(t, b.Handler(), "/api/v1/live", "")
	r.next("everything")
	if err := os.Remove(filepath.Join(b.dir, "machines", string(mac1)+".json")); err != nil {
		t.Fatal(err)
	}
	b.Site.Reload()
	if all := parse[api.Everything](t, r.next("everything")); len(all.Machines) != 1 || all.Machines[0].MAC != mac2 || all.Counts.All != 1 {
		t.Errorf("got %+v", all)
	}
}

// A page whose trace lagged behind is shown everything again.
func TestASlowPageIsShownEverythingAgain(t *testing.T) {
	b := newBed(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	shown := 0
	w := &stuckWriter{
		header: http.Header{}, stuck: make(chan struct{}), gone: make(chan struct{}), done: cancel,
		enough: func(text string) bool {
			if strings.HasPrefix(text, "event: everything") {
				shown++
			}
			return shown == 2
		},
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/api/v1/live?trace="+string(mac9), nil))
	}()
	<-w.stuck
	for i := range 400 {
		b.record(t, logged(mac9, fmt.Sprint("event ", i)))
	}
	close(w.gone)
	<-ended
	if text := w.text.String(); shown != 2 || !strings.Contains(text[strings.LastIndex(text, "event: everything"):], string(mac9)) {
		t.Errorf("everything was shown %d times", shown)
	}
}
