package main

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/site"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
	"cloudlets/web"
	"cloudlets/web/roster"
)

// apiBed is the API of a daemon at a socket, for tests of verbs that ask it.
type apiBed struct {
	dir, socket string
	tracker     *track.Tracker
}

// newAPIBed serves a site with files, by their paths.
func newAPIBed(t *testing.T, files map[string]string) *apiBed {
	t.Helper()
	b := &apiBed{dir: t.TempDir()}
	for name, text := range files {
		file := filepath.Join(b.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := site.Open(b.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	kept := &store.Memory{}
	if b.tracker, err = track.NewTracker(kept, track.Options{Known: s.Has}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.tracker.Close)
	server := &web.Server{Site: s, Tracker: b.tracker, Roster: roster.New(s, b.tracker, nil), Tickets: tickets.New(kept, nil)}
	b.socket = filepath.Join(b.dir, "sock")
	listener, err := net.Listen("unix", b.socket)
	if err != nil {
		t.Fatal(err)
	}
	daemon, done := &http.Server{Handler: server.Handler()}, make(chan error, 1)
	go func() { done <- daemon.Serve(listener) }()
	t.Cleanup(func() {
		daemon.Close()
		<-done
	})
	return b
}

// inspected lets a stranger wait, in which something was found.
func (b *apiBed) inspected(t *testing.T, mac provision.MAC, port string) {
	t.Helper()
	found := provision.Inspection{Card: mac, Inventory: provision.Inventory{
		Arch: "amd64", Interfaces: []provision.InterfaceInfo{{Name: "eth0", MAC: string(mac), Switch: "sw3", Port: port}},
	}}
	e := provision.Event{MAC: mac, Kind: provision.KindStage, Stage: provision.StageInspect, Text: "inspected", Facts: found.Facts()}
	if err := b.tracker.RecordInspection(t.Context(), e, track.Inspected{Inspection: found}); err != nil {
		t.Fatal(err)
	}
}

// run runs a verb with the daemon's socket, and returns what it printed.
func (b *apiBed) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return runVerb(t, append(args, "--socket", b.socket)...)
}

// runVerb runs a verb, and returns what it printed.
func runVerb(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}
