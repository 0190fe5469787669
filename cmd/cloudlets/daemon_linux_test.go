package main

import (
	"context"
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

	"cloudlets/provision"
)

// machine is in no file of the tests' sites.
const machine provision.MAC = "52:54:00:00:00:09"

// testDaemon is a daemon on loopback in this process, and a systemd that it
// tells of its life.
type testDaemon struct {
	*daemon
	t       *testing.T
	dir     string
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
	if err := os.WriteFile(loader, make([]byte, 100_000), 0o644); err != nil {
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

	flags := serveFlags{
		site: filepath.Join(dir, "site"), assets: filepath.Join(dir, "assets"), state: filepath.Join(dir, "state"),
		iface: "lo", dhcp: "off", tftp: freeAddr(t, "udp4"), http: freeAddr(t, "tcp4"),
	}
	d, err := newDaemon(flags, filepath.Join(notify, "api"), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &testDaemon{d, t, dir, systemd, stop, make(chan error, 1)}
	go func() { b.ended <- d.serve(ctx) }()
	t.Cleanup(b.end)
	select {
	case <-d.Ready():
	case err := <-b.ended:
		b.ended = nil
		t.Fatalf("the daemon ended: %v", err)
	}
	return b
}

// freeAddr is an address of loopback whose port is free.
func freeAddr(t *testing.T, network string) string {
	t.Helper()
	var addr net.Addr
	var c io.Closer
	if network == "udp4" {
		conn, err := net.ListenPacket(network, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr, c = conn.LocalAddr(), conn
	} else {
		l, err := net.Listen(network, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr, c = l.Addr(), l
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return addr.String()
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

func (b *testDaemon) get(path string) string {
	b.t.Helper()
	answer, err := http.Get("http://" + b.settings.HTTP + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

// events are what the tracker knows of the machine.
func (b *testDaemon) events() []provision.Event {
	b.t.Helper()
	events, err := b.tracker.Events(b.t.Context(), machine, 0, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	return events
}

// TestTheLastEventsAreStored: the daemon is stopped while TFTP sends a file.
// That the transfer failed is recorded when everything is ending, and is in the
// store after a restart.
func TestTheLastEventsAreStored(t *testing.T) {
	dir := t.TempDir()
	b := startDaemon(t, dir)
	if got := b.told(); got != "READY=1" {
		t.Errorf("systemd is told %q first", got)
	}
	b.get("/boot/" + string(machine) + "/script") // now the server knows who is at this address
	client := fetchFirstBlock(t, b.settings.TFTP, "undionly.kpxe")
	b.stop()
	if got := b.told(); got != "STOPPING=1" {
		t.Errorf("systemd is told %q at the end", got)
	}
	client.giveUp(t)
	b.end()

	again := startDaemon(t, dir)
	events := again.events()
	if !slices.ContainsFunc(events, func(e provision.Event) bool {
		return strings.HasPrefix(e.Text, "could not fetch undionly.kpxe by TFTP")
	}) {
		t.Errorf("the last event is not in the store: %v", events)
	}
}

// tftpClient is a transfer that goes no further.
type tftpClient struct {
	conn net.PacketConn
	from net.Addr
}

// fetchFirstBlock asks for a file, and does not acknowledge its first block (RFC
// 1350).
func fetchFirstBlock(t *testing.T, server, name string) tftpClient {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	to, err := net.ResolveUDPAddr("udp4", server)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.WriteTo([]byte("\x00\x01"+name+"\x00octet\x00"), to); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	n, from, err := conn.ReadFrom(buf)
	if err != nil || n != 516 || string(buf[:4]) != "\x00\x03\x00\x01" {
		t.Fatalf("got %d bytes, %q, %v instead of the first block", n, buf[:4], err)
	}
	return tftpClient{conn, from}
}

// giveUp sends an error, as a client does that wants no more.
func (c tftpClient) giveUp(t *testing.T) {
	t.Helper()
	if _, err := c.conn.WriteTo([]byte("\x00\x05\x00\x00enough\x00"), c.from); err != nil {
		t.Fatal(err)
	}
}

// TestStreamsEndWithTheDaemon: a stream of events ends as it should, and does
// not go on until it is broken off.
func TestStreamsEndWithTheDaemon(t *testing.T) {
	b := startDaemon(t, t.TempDir())
	var dialer net.Dialer
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", b.socket)
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
