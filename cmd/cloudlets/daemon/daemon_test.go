//go:build linux

package daemon

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/site"
	"cloudlets/provision/site/keys"
)

const (
	// machine is in no file of the tests' sites.
	machine provision.MAC = "52:54:00:00:00:09"
	// loaderSize is the length in bytes of the tests' boot loader.
	loaderSize = 64 << 20
)

// testDaemon is a daemon on loopback in this process, and a systemd that it
// tells of its life.
type testDaemon struct {
	*Daemon
	t       *testing.T
	systemd *net.UnixConn
	stop    context.CancelFunc
	ended   chan error
}

// startDaemon starts a daemon without DHCP in a folder, which may hold the state
// of another one, and waits until it serves.
func startDaemon(t *testing.T, dir string) *testDaemon {
	t.Helper()
	for _, sub := range []string{"site", "assets"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	loader := filepath.Join(dir, "assets", "undionly.kpxe")
	if err := errors.Join(os.WriteFile(loader, nil, 0o644), os.Truncate(loader, loaderSize)); err != nil {
		t.Fatal(err)
	}
	notify, err := os.MkdirTemp("", "notify") // shorter than t.TempDir: a socket's name has a bound
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(notify) })
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(notify, "s"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { systemd.Close() })
	t.Setenv("NOTIFY_SOCKET", systemd.LocalAddr().String())

	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	opened, err := site.Open(filepath.Join(dir, "site"), log)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), Config{
		Site: opened, Socket: filepath.Join(notify, "api"), Self: []string{self}, CheckStore: []string{"true"}, Log: log,
		Settings: keys.Settings{
			Assets: filepath.Join(dir, "assets"), State: filepath.Join(dir, "state"),
			Network: keys.Network{Interface: "lo", DHCP: keys.DHCPService{Off: true}}, TFTP: "127.0.0.1:0", HTTP: freeAddr(t),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &testDaemon{d, t, systemd, stop, make(chan error, 1)}
	go func() { b.ended <- d.Serve(ctx) }()
	t.Cleanup(b.end)
	select {
	case <-d.Ready():
	case err := <-b.ended:
		b.ended = nil
		t.Fatalf("the daemon ended: %v", err)
	}
	return b
}

// freeAddr is an address of loopback whose TCP port is free.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// end stops the daemon and waits for it.
func (b *testDaemon) end() {
	if b.ended == nil {
		return
	}
	b.stop()
	if err := <-b.ended; err != nil {
		b.t.Errorf("the daemon ended with %v", err)
	}
	b.ended = nil
}

// told is the next message to systemd.
func (b *testDaemon) told() string {
	b.t.Helper()
	buf := make([]byte, 100)
	n, err := b.systemd.Read(buf)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(buf[:n])
}

// get fetches a page of the boot side, which is closed when the test ends.
func (b *testDaemon) get(path string) io.Reader {
	b.t.Helper()
	answer, err := http.Get("http://" + b.Settings.HTTP + path)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		b.t.Fatalf("%s: %s", path, answer.Status)
	}
	return answer.Body
}

// TestTheLastEventsAreStored: the daemon is stopped while a machine loads a
// file that does not fit the buffers of a connection. The machine gets all of
// it. That it did is recorded at the very end, and is in the store after a
// restart.
func TestTheLastEventsAreStored(t *testing.T) {
	dir := t.TempDir()
	b := startDaemon(t, dir)
	if got := b.told(); got != "READY=1" {
		t.Errorf("systemd is told %q first", got)
	}
	// From the script on, the server knows which machine is at this address.
	if _, err := io.ReadAll(b.get("/boot/" + string(machine) + "/script")); err != nil {
		t.Fatal(err)
	}
	body := b.get("/loader/undionly.kpxe")
	if _, err := io.ReadFull(body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	b.stop()
	if got := b.told(); got != "STOPPING=1" {
		t.Errorf("systemd is told %q at the end", got)
	}
	if n, err := io.Copy(io.Discard, body); n != loaderSize-1 || err != nil {
		t.Errorf("the rest of the file has %d bytes, %v", n, err)
	}
	b.end()

	again := startDaemon(t, dir)
	events, err := again.tracker.Events(t.Context(), machine, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(events, func(e provision.Event) bool { return e.Text == "fetched boot loader undionly.kpxe by HTTP" }) {
		t.Errorf("the last event is not in the store: %v", events)
	}
}

// TestBothLanesServeTheBootChain: a machine gets a kernel, which is recorded, and hangs up
// in the middle of another one, whichever code reads its requests.
func TestBothLanesServeTheBootChain(t *testing.T) {
	dir := t.TempDir()
	content := make([]byte, loaderSize) // it does not fit the buffers of a connection
	digest := fmt.Sprintf("%x", sha256.Sum256(content))
	files := filepath.Join(dir, "state", "depot", "files")
	if err := errors.Join(os.MkdirAll(files, 0o755), os.WriteFile(filepath.Join(files, digest), content, 0o644)); err != nil {
		t.Fatal(err)
	}
	b := startDaemon(t, dir)
	at, err := net.ResolveTCPAddr("tcp", b.Settings.HTTP)
	if err != nil {
		t.Fatal(err)
	}
	machines := map[provision.MAC]struct{ address, header string }{
		"52:54:00:00:00:0a": {"127.0.0.10", ""},
		"52:54:00:00:00:0b": {"127.0.0.11", "X-Unknown: the lane leaves this to the server\r\n"},
	}
	for mac, m := range machines {
		conn := dialFrom(t, m.address, at)
		in := bufio.NewReader(conn)
		fetch := func(path string) *http.Response {
			t.Helper()
			if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, m.header); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(in, nil)
			if err != nil || answer.StatusCode != http.StatusOK {
				t.Fatalf("%s of %s: %v, %v", path, mac, answer, err)
			}
			return answer
		}
		script := "/boot/" + string(mac) + "/script" // from here on, the server knows which machine is at this address
		kernel := "/files/" + digest + "/kernel"
		for _, path := range []string{script, kernel, script} {
			sum := sha256.New()
			if _, err := io.Copy(sum, fetch(path).Body); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%x", sum.Sum(nil)); path == kernel && got != digest {
				t.Errorf("the kernel of %s has the digest %s, want %s", mac, got, digest)
			}
		}
		if got := b.fetched(mac); got != 1 {
			t.Errorf("%s: %d events that it fetched a kernel, want 1", mac, got)
		}
		if _, err := io.ReadFull(fetch(kernel).Body, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	b.end() // all handlers have returned
}

// dialFrom connects from an address of loopback.
func dialFrom(t *testing.T, from string, to net.Addr) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
	conn, err := dialer.Dial("tcp4", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// fetched is how many events say that a machine fetched a kernel.
func (b *testDaemon) fetched(mac provision.MAC) (n int) {
	b.t.Helper()
	events, err := b.tracker.Events(b.t.Context(), mac, 0, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range events {
		if e.Text == "fetched kernel by HTTP" {
			n++
		}
	}
	return n
}

// TestStreamsEndWithTheDaemon: a stream of events ends as it should, and does
// not go on until it is broken off.
func TestStreamsEndWithTheDaemon(t *testing.T) {
	b := startDaemon(t, t.TempDir())
	var dialer net.Dialer
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", b.Socket)
	}}}
	answer, err := client.Get("http://daemon/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b.stop()
	if text, err := io.ReadAll(answer.Body); err != nil || !strings.HasPrefix(string(text), "retry: ") {
		t.Errorf("the stream %q ended with %v", text, err)
	}
}

func TestNotifySystemd(t *testing.T) {
	if err := notifySystemd("", systemdReady); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{filepath.Join(dir, "s"), fmt.Sprintf("@cloudlets-test-%d", os.Getpid())} {
		systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		if err := notifySystemd(name, systemdReady); err != nil {
			t.Error(err)
		}
		buf := make([]byte, 100)
		if n, err := systemd.Read(buf); err != nil || string(buf[:n]) != "READY=1" {
			t.Errorf("at %s: %q, %v", name, buf[:n], err)
		}
		if err := systemd.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := notifySystemd(filepath.Join(dir, "nobody"), systemdReady); err == nil || !strings.Contains(err.Error(), "send READY=1 to systemd") {
		t.Errorf("to nobody: %v", err)
	}
}
