package tftp

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseRequest(t *testing.T) {
	for packet, want := range map[string]request{
		"\x00\x01f\x00octet\x00":                                             {name: "f"},
		"\x00\x01f\x00OcTeT\x00":                                             {name: "f"},
		"\x00\x01f\x00octet":                                                 {name: "f"},
		"\x00\x01f\x00octet\x00\x00\x00\x00\x00":                             {name: "f"},
		"\x00\x01f\x00netascii\x00tsize\x000\x00":                            {name: "f", netascii: true},
		"\x00\x01/a\\b\x00octet\x00tsize\x000\x00":                           {name: "a/b", tsize: true},
		"\x00\x01f\x00octet\x00blksize\x001468\x00":                          {name: "f", blksize: 1468},
		"\x00\x01f\x00octet\x00BLKSIZE\x0065464\x00WindowSize\x0065535\x00":  {name: "f", blksize: 65464, window: 65535},
		"\x00\x01f\x00octet\x00blksize\x0065465\x00windowsize\x0065536\x00":  {name: "f"},
		"\x00\x01f\x00octet\x00blksize\x00-8\x00windowsize\x00+4\x00":        {name: "f"},
		"\x00\x01f\x00octet\x00blksize\x0099999999999999999999\x00tsize\x00": {name: "f", tsize: true},
		"\x00\x01f\x00octet\x00windowsize":                                   {name: "f"},
	} {
		if got, err := parseRequest([]byte(packet)); err != nil || got != want {
			t.Errorf("%q: got %+v, %v; want %+v", packet, got, err, want)
		}
	}
}

// seeds are requests as firmware and tools send them.
var seeds = []string{
	"\x00\x01ipxe.efi\x00octet\x00tsize\x000\x00blksize\x001468\x00windowsize\x004\x00", // EDK2
	"\x00\x01undionly.kpxe\x00octet\x00tsize\x000\x00",                                  // Intel boot agent
	"\x00\x01undionly.kpxe\x00octet\x00blksize\x001456\x00",
	"\x00\x01/a\\b\x00octet\x00blksize\x001432\x00tsize\x000\x00timeout\x006\x00", // curl, iPXE
	"\x00\x01../../etc/passwd\x00octet\x00",
	"\x00\x02f\x00octet\x00", "\x00\x04\x00\x01", "\x00\x05\x00\x08stop\x00", "\x00\x01f\x00netascii\x00", "",
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := parseRequest(p)
		if err != nil {
			return
		}
		if !fs.ValidPath(r.name) || r.name == "." || strings.ContainsAny(r.name, "\\\x00") {
			t.Errorf("%q: accepted the name %q", p, r.name)
		}
		again, err := parseRequest(buildRequest(r))
		if len(buildRequest(r)) <= maxRequest && (err != nil || again != r) {
			t.Errorf("%q: parsed as %+v, then built and parsed as %+v, %v", p, r, again, err)
		}
	})
}

// buildRequest is the request in its plainest form.
func buildRequest(r request) []byte {
	mode := "octet"
	if r.netascii {
		mode = "netascii"
	}
	p := appendStrings([]byte{0, opRead}, r.name, mode)
	if r.tsize {
		p = appendStrings(p, "tsize", "0")
	}
	return r.appendSizes(p)
}

// feed is a socket on which given packets arrive, each from another port.
type feed struct {
	net.PacketConn
	packets [][]byte
	end     context.CancelFunc
	answers int // bytes
	port    uint16
}

func (f *feed) ReadFrom(p []byte) (int, net.Addr, error) {
	if len(f.packets) == 0 {
		f.end()
		return 0, nil, net.ErrClosed
	}
	n := copy(p, f.packets[0])
	f.packets = f.packets[1:]
	f.port++
	return n, net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 66, 0, 1}), f.port)), nil
}

func (f *feed) WriteTo(p []byte, _ net.Addr) (int, error) {
	f.answers += len(p)
	return len(p), nil
}

func (f *feed) LocalAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4zero, Port: 69} }

func (f *feed) SetReadDeadline(time.Time) error { return nil }

func (f *feed) Close() error { return nil }

// TestRequestThatCannotBeStartedGivesItsPlaceBack has no more file descriptors
// when a request comes.
func TestRequestThatCannotBeStartedGivesItsPlaceBack(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	var reports []Transfer
	ctx, cancel := context.WithCancel(t.Context())
	conn := &feed{packets: [][]byte{[]byte(seeds[1])}, end: cancel}
	s := newService(ctx, Server{Conn: conn, FS: fstest.MapFS{}, limits: limits{transfers: 1}, Observe: func(tr Transfer) { reports = append(reports, tr) }})
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 0, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	s.receiveRequests()
	s.downloads.Wait()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if len(reports) != 1 || !errors.Is(reports[0].Err, syscall.EMFILE) || reports[0].Name != "undionly.kpxe" {
		t.Fatalf("reported %+v, want one failure for the request", reports)
	}
	if len(s.places.taken) != 0 || len(s.places.byHost) != 0 {
		t.Errorf("places are still taken: %v, %v", s.places.taken, s.places.byHost)
	}
}

// busyFS has no files, and counts how many ask for one at the same time.
type busyFS struct{ now, most atomic.Int32 }

func (b *busyFS) Open(name string) (fs.File, error) {
	n := b.now.Add(1)
	defer b.now.Add(-1)
	for most := b.most.Load(); n > most && !b.most.CompareAndSwap(most, n); most = b.most.Load() {
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

// FuzzServe splits its input into packets that arrive at port 69. Whatever
// they are, downloads stay within their limit and give their places back, and
// answers stay small.
func FuzzServe(f *testing.F) {
	f.Add([]byte(strings.Join(seeds, "\xfe")))
	f.Add([]byte(strings.Repeat(seeds[1]+"\xfe", 20)))
	f.Fuzz(func(t *testing.T, input []byte) {
		ctx, cancel := context.WithCancel(t.Context())
		conn := &feed{end: cancel}
		for packet := range strings.SplitSeq(string(input), "\xfe") {
			conn.packets = append(conn.packets, []byte(packet))
		}
		packets := len(conn.packets)
		var busy busyFS
		s := newService(ctx, Server{Conn: conn, FS: &busy, limits: limits{transfers: 8, retries: 1, timeout: 1}})
		s.receiveRequests()
		s.downloads.Wait()
		if busy.most.Load() > 8 || len(s.places.taken) != 0 || len(s.places.byHost) != 0 {
			t.Errorf("%d downloads at once, and %d places still taken; want 8 at the most, and 0", busy.most.Load(), len(s.places.taken))
		}
		if conn.answers > packets*64 {
			t.Errorf("%d packets were answered with %d bytes", packets, conn.answers)
		}
	})
}
