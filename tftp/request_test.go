package tftp

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	pin "github.com/pin/tftp/v3"
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
		again, err := parseRequest(r.packet(r.name))
		if len(r.packet(r.name)) <= maxRequest && (err != nil || again != r) {
			t.Errorf("%q: parsed as %+v, then built and parsed as %+v, %v", p, r, again, err)
		}
	})
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

// TestRequestThatCannotBeStartedGivesItsPlaceBack has the library fail to open
// a socket, as when there are too many open files.
func TestRequestThatCannotBeStartedGivesItsPlaceBack(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	var reports []Transfer
	conn := &feed{packets: [][]byte{[]byte(seeds[1]), []byte(seeds[1])}}
	s := newService(ctx, cancel, Server{Conn: conn, FS: fstest.MapFS{}, MaxTransfers: 1, Observe: func(tr Transfer) { reports = append(reports, tr) }})
	g := &gate{PacketConn: conn, service: s, drained: make(chan struct{}), closed: make(chan struct{})}
	for i := range 2 {
		if _, _, err := g.ReadFrom(make([]byte, 516)); err != nil {
			t.Fatal(err)
		}
		hook{g}.OnFailure(pin.TransferStats{}, syscall.EMFILE)
		if len(reports) != i+1 || !errors.Is(reports[i].Err, syscall.EMFILE) || reports[i].Name != "undionly.kpxe" {
			t.Fatalf("reported %+v, want one failure for each request", reports)
		}
	}
	if len(s.flows) != 0 || len(s.hosts) != 0 {
		t.Errorf("places are still taken: %v, %v", s.flows, s.hosts)
	}
}

// FuzzGate splits its input into packets that arrive at port 69. Whatever
// they are, the library behind the gate sees plain requests only, in no
// greater number than transfers are allowed, and answers stay small.
func FuzzGate(f *testing.F) {
	f.Add([]byte(strings.Join(seeds, "\xfe")))
	f.Add([]byte(strings.Repeat(seeds[1]+"\xfe", 20)))
	f.Fuzz(func(t *testing.T, input []byte) {
		ctx, cancel := context.WithCancelCause(t.Context())
		conn := &feed{end: func() { cancel(nil) }}
		for packet := range strings.SplitSeq(string(input), "\xfe") {
			conn.packets = append(conn.packets, []byte(packet))
		}
		packets := len(conn.packets)
		s := newService(ctx, cancel, Server{Conn: conn, FS: fstest.MapFS{}, MaxTransfers: 8, Retries: 1, Timeout: 1})
		g := &gate{PacketConn: conn, service: s, drained: make(chan struct{}), closed: make(chan struct{})}
		g.Close()
		handed := 0
		for {
			p := make([]byte, 516)
			n, _, err := g.ReadFrom(p)
			if err != nil {
				break
			}
			handed++
			r, err := parseRequest(p[:n])
			if err != nil || strings.Trim(r.name, "0123456789") != "" || r.window != 0 {
				t.Errorf("the library was handed %q", p[:n])
			}
		}
		s.group.Wait()
		if handed > 8 || len(g.handed.jobs) != handed || len(g.flows) != handed {
			t.Errorf("%d requests handed on, %d kept, %d places taken; 8 are allowed", handed, len(g.handed.jobs), len(g.flows))
		}
		if conn.answers > packets*64 {
			t.Errorf("%d packets were answered with %d bytes", packets, conn.answers)
		}
	})
}
