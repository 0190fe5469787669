package fleet

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/cmd/cloudlets/heap"
	"cloudlets/provision"
	"cloudlets/provision/site"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
	"cloudlets/testdata/needs"
	"cloudlets/web"
	"cloudlets/web/roster"
)

// How long the verb machines takes, from its flags to the last line of its table, against
// a server in the same process.
func BenchmarkMachines(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		socket := serveFleet(b, n)
		for _, flags := range [][]string{nil, {"--sort", "seen"}, {"--columns", "name,image,seen", "--sort", "-address"}, {"--profile", "rack0"}, {"node[1-20]"}, {"--json"}} {
			b.Run(fmt.Sprint(n, flags), func(b *testing.B) {
				for b.Loop() {
					if lines := linesOf(b, socket, flags); lines < 10 {
						b.Fatalf("%d lines", lines)
					}
				}
			})
		}
	}
}

// How long the program takes as a person starts it, from its first instruction to its
// end: the program that make builds, and a server in another process's place.
func BenchmarkMachinesProcess(b *testing.B) {
	program := needs.Made(b, "../../../../bin/cloudlets", "build")
	for _, n := range []int{10, 10_000} {
		socket := serveFleet(b, n)
		for _, flags := range [][]string{nil, {"--sort", "seen"}, {"node[1-20]"}, {"--json"}} {
			b.Run(fmt.Sprint(n, flags), func(b *testing.B) {
				for b.Loop() {
					out, err := exec.CommandContext(b.Context(), program, append([]string{"machines", "--socket", socket}, flags...)...).Output()
					if err != nil {
						b.Fatal(err)
					}
					if lines := bytes.Count(out, []byte("\n")); lines < 10 {
						b.Fatalf("%d lines: %s", lines, out)
					}
				}
			})
		}
	}
}

// linesOf runs the verb, and counts its lines.
func linesOf(b *testing.B, socket string, flags []string) int {
	var out bytes.Buffer
	cmd := machinesCommand(&socket)
	cmd.SetArgs(append([]string{}, flags...))
	cmd.SetOut(&out)
	if err := cmd.ExecuteContext(b.Context()); err != nil {
		b.Fatal(err)
	}
	return bytes.Count(out.Bytes(), []byte("\n"))
}

// serveFleet serves a site of n machines that run, and returns the socket. A machine's
// file extends one of the profiles of racks, which extend another one.
func serveFleet(b *testing.B, n int) (socket string) {
	b.Helper()
	heap.Bound() // as the daemon does
	dir := b.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	write("images/debian/etc/hostname", "x")
	write("profiles/base.json", `{"image": "debian"}`)
	macOf := func(i int) provision.MAC { return provision.MAC(fmt.Sprintf("52:54:00:00:%02x:%02x", i>>8, i&0xff)) }
	racks := max(1, n/40)
	for i := range racks {
		write(fmt.Sprintf("profiles/rack%d.json", i), `{"extends": "base"}`)
	}
	for i := range n {
		write(fmt.Sprintf("machines/%s.json", macOf(i)), fmt.Sprintf(`{"extends": "rack%d", "hostname": "node%d", "address": "10.0.%d.%d"}`, i%racks, i, i>>8, i&0xff))
	}
	s, err := site.Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	kept := &store.Memory{}
	tracker, err := track.NewTracker(kept, track.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(tracker.Close)
	server := &web.Server{Site: s, Tracker: tracker, Roster: roster.New(s, tracker, nil), Tickets: tickets.New(kept, nil)}
	for i := range n {
		facts := map[string]string{
			"firmware": "uefi", "arch": "amd64", "uuid": fmt.Sprintf("30303030-3030-3030-3030-%012d", i), "product": "PowerEdge R640", "serial": fmt.Sprint("S", i),
			"disk": "sda", "memory": "256 GB", "cpus": "64", "macs": string(macOf(i)),
		}
		for _, stage := range []provision.Stage{provision.StageAgent, provision.StageRunning} {
			if err := tracker.Record(b.Context(), provision.Event{MAC: macOf(i), Kind: provision.KindStage, Stage: stage, Text: "x", Facts: facts, Time: time.Now()}); err != nil {
				b.Fatal(err)
			}
		}
	}
	socket = filepath.Join(dir, "sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		b.Fatal(err)
	}
	daemon := &http.Server{Handler: server.Handler()}
	done := make(chan error, 1)
	go func() { done <- daemon.Serve(listener) }()
	b.Cleanup(func() {
		daemon.Close()
		<-done
	})
	return socket
}
