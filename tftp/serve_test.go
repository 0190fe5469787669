package tftp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

// patience bounds waits that end at once when all is well.
const patience = 60 * time.Second

// running is a server under test on a port of the loopback interface.
type running struct {
	addr      netip.AddrPort
	transfers chan Transfer
	stop      func()
}

// start serves until the test ends, when Serve must return nil.
func start(t testing.TB, s Server) *running {
	t.Helper()
	if s.Conn == nil {
		s.Conn = listen(t, "127.0.0.1:0")
	}
	r := &running{addr: addrPortOf(s.Conn.LocalAddr()), transfers: make(chan Transfer, 4096)}
	s.Observe = func(tr Transfer) {
		select {
		case r.transfers <- tr:
		default:
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(patience):
			t.Error("Serve did not return after its context had ended")
		}
	})
	t.Cleanup(r.stop)
	return r
}

func listen(t testing.TB, addr string) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// report waits for the next transfer's report.
func (r *running) report(t testing.TB) Transfer {
	t.Helper()
	select {
	case tr := <-r.transfers:
		return tr
	case <-time.After(patience):
		t.Fatal("no transfer was reported")
		return Transfer{}
	}
}

// catchUp waits until the server has read every request sent so far. It reads
// them in order, and so has done so when it refuses one that comes last.
func (r *running) catchUp(t testing.TB) {
	t.Helper()
	c := newClient(t, r.addr)
	c.send([]byte("\x00\x02last\x00octet\x00"))
	c.expectError(codeViolation)
	r.report(t)
}

func content(n int) []byte {
	src := rand.NewChaCha8([32]byte{1})
	p := make([]byte, n)
	src.Read(p)
	return p
}

func files(named map[string][]byte) fs.FS {
	m := fstest.MapFS{}
	for name, data := range named {
		m[name] = &fstest.MapFile{Data: data}
	}
	return m
}

// client speaks TFTP one packet at a time, as a test wants it.
type client struct {
	t    testing.TB
	conn *net.UDPConn
	to   netip.AddrPort // the server, then the transfer's port
}

func newClient(t testing.TB, to netip.AddrPort) *client {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(to.Addr(), 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{t, conn, to}
}

func (c *client) send(p []byte) {
	c.t.Helper()
	if _, err := c.conn.WriteToUDPAddrPort(p, c.to); err != nil {
		c.t.Fatal(err)
	}
}

// rrq sends a read request; options come as name, value, name, value.
func (c *client) rrq(name string, options ...string) {
	c.t.Helper()
	c.send(appendStrings([]byte{0, opRead}, append([]string{name, "octet"}, options...)...))
}

func (c *client) ack(block uint16) {
	c.t.Helper()
	c.send(binary.BigEndian.AppendUint16([]byte{0, opAck}, block))
}

// receive waits for a packet and takes note of the port that it came from.
func (c *client) receive() []byte {
	c.t.Helper()
	c.conn.SetReadDeadline(time.Now().Add(patience))
	p := make([]byte, 1<<16)
	n, from, err := c.conn.ReadFromUDPAddrPort(p)
	if err != nil {
		c.t.Fatalf("no answer from the server: %v", err)
	}
	c.to = from
	return p[:n]
}

// waiting counts the packets that have come and were not received.
func (c *client) waiting() int {
	c.t.Helper()
	c.to = addrPortOf(c.conn.LocalAddr())
	c.send([]byte("last"))
	for n := 0; ; n++ {
		if string(c.receive()) == "last" {
			return n
		}
	}
}

// expectError waits for an ERROR packet and returns its message.
func (c *client) expectError(code uint16) string {
	c.t.Helper()
	p := c.receive()
	if opcode(p) != opError || binary.BigEndian.Uint16(p[2:]) != code {
		c.t.Fatalf("got packet %q, want error %d", p, code)
	}
	return strings.TrimRight(string(p[4:]), "\x00")
}

// fetch downloads the way RFC 7440 tells a client to, over a network that may
// lose packets. It repeats its acknowledgement after the given time. A download
// may take as long as it likes if it makes progress: only silence ends it.
func (c *client) fetch(again time.Duration, name string, window, blksize int, options ...string) []byte {
	c.t.Helper()
	request := func() { c.rrq(name, options...) }
	request()
	var data []byte
	var last uint16
	inWindow, gap, begun := 0, false, false
	timer := time.Now().Add(again)
	p := make([]byte, 1<<16)
	for silent := time.Duration(0); silent < patience; {
		c.conn.SetReadDeadline(timer)
		n, from, err := c.conn.ReadFromUDPAddrPort(p)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			silent += again
			timer = time.Now().Add(again)
			if !begun {
				request()
				continue
			}
			inWindow, gap = 0, false
			c.ack(last)
			continue
		case err != nil:
			c.t.Fatal(err)
		}
		c.to, begun = from, true
		switch block := binary.BigEndian.Uint16(p[2:]); {
		case opcode(p[:n]) == opError:
			c.t.Fatalf("fetch %s: server says %q", name, p[4:n])
		case opcode(p[:n]) == opOAck:
			c.ack(0)
		case block == last+1:
			data = append(data, p[4:n]...)
			last, gap, silent, timer = block, false, 0, time.Now().Add(again)
			if inWindow++; inWindow == window || n < 4+blksize {
				c.ack(last)
				inWindow = 0
			}
			if n < 4+blksize {
				return data
			}
		case !gap: // asked once for each gap
			inWindow, gap = 0, true
			c.ack(last)
		}
	}
	c.t.Fatalf("fetch %s: the server fell silent after %d bytes", name, len(data))
	return nil
}

func TestNamesThatFirmwareWrites(t *testing.T) {
	r := start(t, Server{FS: files(map[string][]byte{"ipxe.efi": []byte("loader"), "boot/x64/wds.efi": []byte("loader")})})
	for _, name := range []string{
		"ipxe.efi", "/ipxe.efi", "//ipxe.efi", "./ipxe.efi", `\ipxe.efi`, "ipxe.efi\xff",
		`boot\x64\wds.efi`, "/boot//x64/wds.efi",
	} {
		for _, windowed := range []bool{false, true} {
			c := newClient(t, r.addr)
			if windowed {
				c.rrq(name, "windowsize", "4")
				c.receive()
				c.ack(0)
			} else {
				c.rrq(name)
			}
			if p := c.receive(); string(p) != "\x00\x03\x00\x01loader" {
				t.Errorf("%q (windowed: %v): got %q, want the file's block", name, windowed, p)
			}
			c.ack(1)
			if tr := r.report(t); tr.Err != nil || tr.Size != 6 || tr.Bytes != 6 || tr.Remote.Port() == 0 {
				t.Errorf("%q: reported %+v", name, tr)
			}
		}
	}
}

func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/served", 0o700); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(dir+"/secret", []byte("secret"), 0o600)
	os.WriteFile(dir+"/served/file", []byte("file"), 0o600)
	os.Mkdir(dir+"/served/folder", 0o700)
	r := start(t, Server{FS: os.DirFS(dir + "/served")})
	for name, code := range map[string]uint16{
		"../secret":                codeViolation,
		"/../secret":               codeViolation,
		"folder/../../secret":      codeViolation,
		`..\secret`:                codeViolation,
		"folder/../file":           codeViolation,
		"file\n":                   codeViolation,
		"fi\x1ble":                 codeViolation,
		"\xc3\x28":                 codeViolation,
		"C:/secret":                codeViolation,
		"/":                        codeViolation,
		".":                        codeViolation,
		dir + "/secret":            codeNotFound,
		"folder":                   codeNotFound,
		"absent":                   codeNotFound,
		"file/":                    0, // the same file: a plain name after cleaning
		"FILE":                     codeNotFound,
		`\\server\share\file`:      codeNotFound,
		"....//secret":             codeNotFound,
		strings.Repeat("a/", 200):  codeNotFound,
		strings.Repeat("../", 100): codeViolation,
	} {
		c := newClient(t, r.addr)
		c.rrq(name)
		if code == 0 {
			if p := c.receive(); string(p[4:]) != "file" {
				t.Errorf("%q: got %q", name, p)
			}
			c.ack(1)
			r.report(t)
			continue
		}
		text := c.expectError(code)
		if strings.Contains(text, dir) || strings.Contains(text, "no such") {
			t.Errorf("%q: the client was told %q, which is more than it knew", name, text)
		}
		tr := r.report(t)
		if tr.Err == nil || code == codeNotFound && !errors.Is(tr.Err, fs.ErrNotExist) {
			t.Errorf("%q: reported %v", name, tr.Err)
		}
	}
}

// broken is a file system whose files cannot be read to their end.
type broken struct{ fs.FS }

func (b broken) Open(name string) (fs.File, error) {
	f, err := b.FS.Open(name)
	return brokenFile{f}, err
}

type brokenFile struct{ fs.File }

func (brokenFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: "/srv/private/file", Err: errors.New("disk on fire")}
}

func TestReadErrorIsReportedWithoutServerPaths(t *testing.T) {
	r := start(t, Server{FS: broken{files(map[string][]byte{"file": content(3000)})}})
	for _, options := range [][]string{nil, {"windowsize", "4"}} {
		c := newClient(t, r.addr)
		c.rrq("file", options...)
		if options != nil {
			c.receive()
			c.ack(0)
		}
		p := c.receive()
		if opcode(p) != opError || bytes.Contains(p, []byte("private")) {
			t.Errorf("client got %q, want an error without the server's paths", p)
		}
		if tr := r.report(t); tr.Err == nil || !strings.Contains(tr.Err.Error(), "disk on fire") {
			t.Errorf("reported %v, want the true error", tr.Err)
		}
	}
}

func TestWritesAndUnknownModesAreRefused(t *testing.T) {
	r := start(t, Server{FS: files(map[string][]byte{"file": nil})})
	c := newClient(t, r.addr)
	c.send([]byte("\x00\x02file\x00octet\x00"))
	c.expectError(codeViolation)
	if tr := r.report(t); tr.Err == nil || tr.Name != "file" {
		t.Errorf("reported %+v, want the refused write", tr)
	}
	c = newClient(t, r.addr)
	c.send([]byte("\x00\x01file\x00mail\x00"))
	c.expectError(codeIllegal)
}

func TestOptionsAreNegotiated(t *testing.T) {
	r := start(t, Server{FS: files(map[string][]byte{"file": content(100_000)}), MaxBlockSize: 1400, limits: limits{window: 8}})
	for _, test := range []struct {
		name string
		ask  []string
		want string
	}{
		{"nothing", nil, ""},
		{"tsize", []string{"tsize", "0"}, "tsize\x00100000\x00"},
		{"upper case", []string{"TSIZE", "0"}, "tsize\x00100000\x00"},
		{"block size below the limit", []string{"BlkSize", "1024"}, "blksize\x001024\x00"},
		{"block size above the limit", []string{"blksize", "8192"}, "blksize\x001400\x00"},
		{"tiny blocks", []string{"blksize", "8"}, "blksize\x008\x00"},
		{"block size out of range", []string{"blksize", "7"}, ""},
		{"block size not a number", []string{"blksize", "many"}, ""},
		{"window", []string{"windowsize", "4"}, "windowsize\x004\x00"},
		{"window above the limit", []string{"WINDOWSIZE", "64", "blksize", "1400"}, "blksize\x001400\x00windowsize\x008\x00"},
		{"no window", []string{"windowsize", "0"}, ""},
		{"unknown", []string{"multicast", "", "timeout", "3"}, ""},
		{"twice", []string{"windowsize", "2", "windowsize", "4"}, "windowsize\x002\x00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newClient(t, r.addr)
			c.rrq("file", test.ask...)
			p := c.receive()
			if test.want == "" {
				if opcode(p) != opData || len(p) != 4+512 {
					t.Errorf("got %d bytes, opcode %d; want a block of 512 bytes and no OACK", len(p), opcode(p))
				}
			} else if string(p) != "\x00\x06"+test.want {
				t.Errorf("got %q, want the OACK %q", p, test.want)
			}
			c.send(errorPacket(codeUndefined, "enough"))
		})
	}
}

// TestWindowFitsReceiveBuffers asks for windows of jumbo blocks.
func TestWindowFitsReceiveBuffers(t *testing.T) {
	r := start(t, Server{FS: files(map[string][]byte{"file": content(100)})})
	c := newClient(t, r.addr)
	c.rrq("file", "blksize", "32768", "windowsize", "64")
	if got, want := string(c.receive()), "\x00\x06blksize\x0032768\x00windowsize\x004\x00"; got != want {
		t.Errorf("got the OACK %q, want %q: 128 KiB at once", got, want)
	}
	c.send(errorPacket(codeUndefined, "enough"))
}

func TestNetascii(t *testing.T) {
	r := start(t, Server{FS: files(map[string][]byte{"text": []byte("a\nb\rc")})})
	for _, window := range []string{"0", "2"} {
		c := newClient(t, r.addr)
		c.send([]byte("\x00\x01text\x00NetASCII\x00tsize\x000\x00windowsize\x00" + window + "\x00"))
		p := c.receive()
		if window != "0" {
			if string(p) != "\x00\x06windowsize\x002\x00" {
				t.Fatalf("got %q, want an OACK without tsize", p)
			}
			c.ack(0)
			p = c.receive()
		}
		if string(p[4:]) != "a\r\nb\r\x00c" {
			t.Errorf("window %s: got %q", window, p[4:])
		}
		c.ack(1)
	}
}

// lines is a log handler's output.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestSizeProbeIsNoFailure(t *testing.T) {
	var log lines
	r := start(t, Server{FS: files(map[string][]byte{"ipxe.efi": content(5000)}), Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, options := range [][]string{
		{"tsize", "0", "blksize", "1468"},                    // EDK2 before 2021
		{"tsize", "0", "blksize", "1468", "windowsize", "4"}, // EDK2 since
	} {
		c := newClient(t, r.addr)
		c.rrq("ipxe.efi", options...)
		c.receive()
		c.send(errorPacket(codeOptions, "User aborted the transfer"))
		if tr := r.report(t); tr.Err != nil || !tr.Probe || tr.Size != 5000 || tr.Bytes != 0 {
			t.Errorf("%v: reported %+v, want a probe", options, tr)
		}
	}
	if log.String() != "" {
		t.Errorf("a probe was logged:\n%s", log.String())
	}
}

func TestClientErrorIsAFailure(t *testing.T) {
	var log lines
	r := start(t, Server{FS: files(map[string][]byte{"file": content(5000)}), Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, options := range [][]string{{"tsize", "0"}, {"tsize", "0", "windowsize", "1"}} {
		c := newClient(t, r.addr)
		c.rrq("file", options...)
		c.receive()
		c.ack(0)
		c.receive()
		c.send(errorPacket(3, "disk\x1b full"))
		tr := r.report(t)
		if tr.Probe || tr.Err == nil || !strings.HasSuffix(tr.Err.Error(), "error 3: disk. full") {
			t.Errorf("%v: reported %+v, want the client's error", options, tr)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 2 {
		t.Errorf("%d warnings, want 2:\n%s", n, log.String())
	}
}

func TestSilentClientIsGivenUp(t *testing.T) {
	r := start(t, Server{FS: files(map[string][]byte{"file": content(5000)}), limits: limits{timeout: 5 * time.Millisecond, retries: 2}})
	for _, options := range [][]string{{"windowsize", "2"}, nil} {
		c := newClient(t, r.addr)
		c.rrq("file", options...)
		for range 3 { // the packet and its two repetitions
			c.receive()
		}
		if tr := r.report(t); !errors.Is(tr.Err, errSilent) {
			t.Errorf("%v: reported %v", options, tr.Err)
		}
		if n := c.waiting(); n > 0 {
			t.Errorf("%v: %d packets after the last repetition", options, n)
		}
	}
}

func TestLimits(t *testing.T) {
	var log lines
	r := start(t, Server{
		FS:     files(map[string][]byte{"file": content(5000)}),
		limits: limits{timeout: patience, transfers: 3, perHost: 3}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	options := [][]string{nil, {"windowsize", "2"}, nil}
	var busy []*client
	for _, o := range options {
		c := newClient(t, r.addr)
		c.rrq("file", o...)
		c.receive()
		busy = append(busy, c)
	}
	late := newClient(t, r.addr)
	for range 10 {
		late.rrq("file")
	}
	r.catchUp(t)
	if n := late.waiting(); n > 0 {
		t.Errorf("requests above the limit were answered with %d packets", n)
	}
	if n := strings.Count(log.String(), "too many"); n != 1 {
		t.Errorf("the limit was logged %d times, want once:\n%s", n, log.String())
	}
	busy[0].send(errorPacket(codeUndefined, "enough"))
	r.report(t)
	late.to = r.addr
	late.rrq("file")
	if p := late.receive(); opcode(p) != opData {
		t.Errorf("got %q after a place was free, want data", p)
	}
	for _, c := range append(busy[1:], late) {
		c.send(errorPacket(codeUndefined, "enough"))
		r.report(t)
	}
}

func TestOneHostCannotTakeAllPlaces(t *testing.T) {
	r := start(t, Server{FS: files(map[string][]byte{"file": content(5000)}), limits: limits{timeout: patience, perHost: 2}, Conn: listen(t, ":0")})
	server := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), r.addr.Port())
	var greedy []*client
	for i := range 3 {
		c := newClient(t, server)
		c.rrq("file")
		if i < 2 {
			c.receive()
		}
		greedy = append(greedy, c)
	}
	other := newClient(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.3"), 0))
	other.to = server
	other.rrq("file")
	other.receive()
	if n := greedy[2].waiting(); n > 0 {
		t.Errorf("a host's third request was answered with %d packets, two are allowed", n)
	}
	for _, c := range []*client{greedy[0], greedy[1], other} {
		c.send(errorPacket(codeUndefined, "enough"))
		r.report(t)
	}
}

// TestCancellationEndsALockstepDownload stops the server under a client that
// goes on acknowledging.
func TestCancellationEndsALockstepDownload(t *testing.T) {
	r := start(t, Server{FS: files(map[string][]byte{"file": content(20 << 20)})})
	c := newClient(t, r.addr)
	c.rrq("file")
	stopped := make(chan struct{})
	for block := uint16(1); ; block++ {
		p := c.receive()
		if opcode(p) == opError {
			break
		}
		if len(p) < 4+512 {
			t.Fatal("the file was sent to its end after the server had been stopped")
		}
		if block == 10 {
			go func() { defer close(stopped); r.stop() }()
		}
		c.ack(block)
	}
	<-stopped
	if tr := r.report(t); !errors.Is(tr.Err, errStopping) {
		t.Errorf("reported %v", tr.Err)
	}
}

func TestDuplicateRequestGetsOneTransfer(t *testing.T) {
	r := start(t, Server{FS: files(map[string][]byte{"file": []byte("x")}), limits: limits{timeout: patience}})
	for _, options := range [][]string{nil, {"windowsize", "2"}} {
		c := newClient(t, r.addr)
		for range 5 {
			c.rrq("file", options...)
		}
		r.catchUp(t)
		c.receive()
		if options != nil {
			c.ack(0)
			c.receive()
		}
		c.ack(1)
		if tr := r.report(t); tr.Err != nil {
			t.Errorf("reported %v", tr.Err)
		}
		if n := c.waiting(); n > 0 {
			t.Errorf("%v: repeated requests were answered with %d packets", options, n)
		}
	}
}

func TestGarbageIsIgnored(t *testing.T) {
	r := start(t, Server{FS: files(map[string][]byte{"file": []byte("x")})})
	c := newClient(t, r.addr)
	for _, p := range []string{
		"", "\x00", "\x00\x01", "\x00\x01\x00", "\x00\x01\x00octet\x00", "\x00\x01file", "\x00\x03\x00\x01data", "\x00\x04\x00\x01",
		"\x00\x05\x00\x01no\x00", "\x00\x06tsize\x000\x00", "\xff\xff\xff\xff", strings.Repeat("\x00\x01", 700),
		"\x00\x01" + strings.Repeat("a", 600) + "\x00octet\x00",
	} {
		c.send([]byte(p))
	}
	c.rrq("file")
	if p := c.receive(); string(p) != "\x00\x03\x00\x01x" {
		t.Errorf("the first answer was %q, want the file: garbage gets none", p)
	}
	c.ack(1)
	if tr := r.report(t); tr.Err != nil || tr.Name != "file" {
		t.Errorf("reported %+v, want the one request", tr)
	}
}

func TestSinglePort(t *testing.T) {
	data := content(300_000)
	r := start(t, Server{FS: files(map[string][]byte{"file": data}), SinglePort: true})
	for _, options := range [][]string{nil, {"blksize", "1468"}, {"blksize", "1468", "windowsize", "16"}} {
		c := newClient(t, r.addr)
		window, blksize := 1, 512
		if options != nil {
			blksize = 1468
		}
		if len(options) > 2 {
			window = 16
		}
		if got := c.fetch(time.Second, "file", window, blksize, options...); !bytes.Equal(got, data) {
			t.Errorf("%v: got %d bytes that are not the file", options, len(got))
		}
		if c.to != r.addr {
			t.Errorf("%v: data came from %v, want the one port %v", options, c.to, r.addr)
		}
		if tr := r.report(t); tr.Err != nil || tr.Bytes != int64(len(data)) {
			t.Errorf("%v: reported %+v", options, tr)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	data := content(60_000)
	for _, single := range []bool{false, true} {
		r := start(t, Server{FS: files(map[string][]byte{"file": data}), SinglePort: single})
		var wg sync.WaitGroup
		for i := range 40 {
			c := newClient(t, r.addr)
			wg.Go(func() {
				window := 1 + i%2*7
				got := c.fetch(time.Second, "file", window, 1024, []string{"blksize", "1024", "windowsize", fmt.Sprint(window)}[:2+i%2*2]...)
				if !bytes.Equal(got, data) {
					t.Errorf("client %d got %d bytes that are not the file", i, len(got))
				}
			})
		}
		wg.Wait()
		r.stop()
	}
}

func TestCancellationEndsTransfers(t *testing.T) {
	for _, single := range []bool{false, true} {
		r := start(t, Server{
			FS: files(map[string][]byte{"file": content(5000)}), SinglePort: single,
			limits: limits{timeout: 20 * time.Millisecond, retries: 50},
		})
		var told []*client
		for i := range 10 {
			c := newClient(t, r.addr)
			if i%2 == 0 {
				c.rrq("file")
				c.receive()
				continue
			}
			c.rrq("file", "windowsize", "4")
			c.receive()
			told = append(told, c)
		}
		r.stop()
		for range 10 {
			if tr := r.report(t); tr.Err == nil {
				t.Errorf("reported %+v, want a transfer broken off", tr)
			}
		}
		for _, c := range told {
			for p := c.receive(); opcode(p) != opError; p = c.receive() {
			}
		}
		noGoroutines(t)
	}
}

// noGoroutines waits until none of the server's goroutines is left, as those
// that have returned may be on their last instruction.
func noGoroutines(t *testing.T) {
	t.Helper()
	buf := make([]byte, 1<<20)
	var left string
	for until := time.Now().Add(patience); time.Now().Before(until); runtime.Gosched() {
		left = ""
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, "tftp.(*service)") {
				left += stack + "\n\n"
			}
		}
		if left == "" {
			return
		}
	}
	t.Errorf("goroutines are left:\n%s", left)
}

// failing is a socket on which reading has failed for good.
type failing struct{ net.PacketConn }

func (failing) ReadFrom([]byte) (int, net.Addr, error) { return 0, nil, errors.New("network is down") }

func TestBrokenSocketEndsServe(t *testing.T) {
	for name, conn := range map[string]net.PacketConn{
		"failing": failing{listen(t, "127.0.0.1:0")},
		"closed":  func() net.PacketConn { c := listen(t, "127.0.0.1:0"); c.Close(); return c }(),
	} {
		s := Server{FS: fstest.MapFS{}, Conn: conn}
		err := s.Serve(t.Context())
		if err == nil || !strings.Contains(err.Error(), "serve TFTP on 127.0.0.1") {
			t.Errorf("%s: Serve returned %v", name, err)
		}
		noGoroutines(t)
	}
}

// faulty is a file system with a fault in it.
type faulty struct{ fs.FS }

func (f faulty) Open(name string) (fs.File, error) {
	if name == "bad" {
		panic("a fault")
	}
	return f.FS.Open(name)
}

// TestPanicEndsOneDownloadOnly: a fault that one client meets is one line in
// the log, with the stack, and the others are served as before.
func TestPanicEndsOneDownloadOnly(t *testing.T) {
	var log lines
	r := start(t, Server{
		FS: faulty{files(map[string][]byte{"file": []byte("x")})}, limits: limits{transfers: 1},
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 3 {
		newClient(t, r.addr).rrq("bad")
		if tr := r.report(t); tr.Name != "bad" || tr.Err == nil || !strings.Contains(tr.Err.Error(), "a fault") {
			t.Errorf("reported %+v, want the panic", tr)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 3 || strings.Count(log.String(), "faulty.Open") != 3 {
		t.Errorf("want one line with a stack for each panic, have:\n%s", log.String())
	}
	if got := newClient(t, r.addr).fetch(time.Second, "file", 1, 512); string(got) != "x" {
		t.Errorf("after the panics: got %q", got)
	}
}

// TestPanickingObserverEndsNothing: neither a download's report nor that of a
// refused request may end the server.
func TestPanickingObserverEndsNothing(t *testing.T) {
	var log lines
	ctx, cancel := context.WithCancel(t.Context())
	conn := &feed{packets: [][]byte{[]byte(seeds[0]), []byte(seeds[4]), []byte(seeds[1])}, end: cancel}
	var observed atomic.Int32
	s := Server{
		FS: files(nil), Conn: conn, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Observe: func(Transfer) { observed.Add(1); panic("a fault") },
	}
	if err := s.Serve(ctx); err != nil {
		t.Error(err)
	}
	if n := observed.Load(); n != 3 || strings.Count(log.String(), "going on after a fault") != 3 {
		t.Errorf("%d requests were observed, want 3, each with a line in the log:\n%s", n, log.String())
	}
}

// flaky is a socket of which reads fail now and then.
type flaky struct {
	net.PacketConn
	failures int // to come
}

func (f *flaky) ReadFrom(p []byte) (int, net.Addr, error) {
	if f.failures > 0 {
		f.failures--
		return 0, nil, syscall.ENOMEM
	}
	f.failures = maxReadErrors - 1
	return f.PacketConn.ReadFrom(p)
}

// TestFailedReadsAreForgiven has many more reads fail than may fail one after
// the other.
func TestFailedReadsAreForgiven(t *testing.T) {
	var log lines
	r := start(t, Server{
		FS: files(map[string][]byte{"file": []byte("x")}), Conn: &flaky{listen(t, "127.0.0.1:0"), maxReadErrors - 1},
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 3 {
		if got := newClient(t, r.addr).fetch(patience, "file", 1, 512); string(got) != "x" {
			t.Errorf("got %q", got)
		}
	}
	if n := strings.Count(log.String(), "reading the socket failed"); n < 3*(maxReadErrors-1) {
		t.Errorf("%d failed reads in the log, want each of them:\n%s", n, log.String())
	}
}

func TestServeNeedsFilesAndConn(t *testing.T) {
	if err := (&Server{FS: fstest.MapFS{}}).Serve(t.Context()); err == nil {
		t.Error("Serve without Conn returned nil")
	}
	conn := listen(t, "127.0.0.1:0")
	if err := (&Server{Conn: conn}).Serve(t.Context()); err == nil {
		t.Error("Serve without FS returned nil")
	}
	if _, err := conn.WriteTo([]byte{0}, conn.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Conn is not closed: %v", err)
	}
}

func TestAnswersFromTheAddressThatWasAsked(t *testing.T) {
	r := start(t, Server{FS: files(map[string][]byte{"file": []byte("x")}), Conn: listen(t, "127.0.0.2:0")})
	for _, options := range [][]string{nil, {"windowsize", "2"}} {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		c := &client{t, conn, r.addr}
		c.rrq("file", options...)
		c.receive()
		if c.to.Addr() != r.addr.Addr() {
			t.Errorf("the answer came from %v, want %v: firmware drops others", c.to.Addr(), r.addr.Addr())
		}
		c.send(errorPacket(codeUndefined, "enough"))
	}
}

func TestIPv6(t *testing.T) {
	data := content(9000)
	r := start(t, Server{FS: files(map[string][]byte{"file": data}), Conn: listen(t, "[::1]:0")})
	for window, options := range map[int][]string{1: nil, 4: {"windowsize", "4"}} {
		if got := newClient(t, r.addr).fetch(time.Second, "file", window, 512, options...); !bytes.Equal(got, data) {
			t.Errorf("window %d: got %d bytes that are not the file", window, len(got))
		}
	}
}

var _ io.Writer = (*lines)(nil)
