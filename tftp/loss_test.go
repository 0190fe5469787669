package tftp

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"
)

// relay is a network between clients and a server that loses one in nth
// datagrams of each direction, always the same ones. (Not every nth: windows
// of that size would lose their first block each time.) Clients see one port,
// as behind NAT.
type relay struct {
	front  *net.UDPConn
	server netip.AddrPort
	nth    int

	mu       sync.Mutex
	up, down *rand.Rand
	backs    map[netip.AddrPort]*back
	wg       sync.WaitGroup
}

// back is one client's socket towards the server.
type back struct {
	*net.UDPConn
	tid netip.AddrPort // where the server's transfer answers
}

func newRelay(t *testing.T, server netip.AddrPort, nth int) *relay {
	t.Helper()
	front, ok := listen(t, "127.0.0.1:0").(*net.UDPConn)
	if !ok {
		t.Fatal("not a UDP socket")
	}
	r := &relay{front: front, server: server, nth: nth, backs: map[netip.AddrPort]*back{}}
	r.up, r.down = rand.New(rand.NewPCG(1, uint64(nth))), rand.New(rand.NewPCG(2, uint64(nth)))
	r.wg.Go(func() { r.forward(t) })
	t.Cleanup(r.close)
	return r
}

func (r *relay) addr() netip.AddrPort { return addrPortOf(r.front.LocalAddr()) }

func (r *relay) close() {
	r.front.Close()
	r.mu.Lock()
	for _, b := range r.backs {
		b.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

// lose says whether the network loses the next datagram of a direction.
func (r *relay) lose(direction *rand.Rand) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return direction.IntN(r.nth) == 0
}

func (r *relay) forward(t *testing.T) {
	p := make([]byte, 1<<16)
	for {
		n, from, err := r.front.ReadFromUDPAddrPort(p)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		b := r.back(t, from)
		if b == nil || r.lose(r.up) {
			continue
		}
		to := r.server
		if opcode(p[:n]) != opRead {
			r.mu.Lock()
			to = b.tid
			r.mu.Unlock()
		}
		if to.IsValid() {
			b.WriteToUDPAddrPort(p[:n], to)
		}
	}
}

func (r *relay) back(t *testing.T, from netip.AddrPort) *back {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.backs[from]; b != nil {
		return b
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Error(err)
		return nil
	}
	b := &back{UDPConn: conn}
	r.backs[from] = b
	r.wg.Go(func() { r.backward(b, from) })
	return b
}

func (r *relay) backward(b *back, client netip.AddrPort) {
	p := make([]byte, 1<<16)
	for {
		n, from, err := b.ReadFromUDPAddrPort(p)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		r.mu.Lock()
		b.tid = from
		r.mu.Unlock()
		if !r.lose(r.down) {
			r.front.WriteToUDPAddrPort(p[:n], client)
		}
	}
}

// TestLossyNetwork downloads through a network that loses datagrams both
// ways, in patterns that hit first, middle and last blocks of windows,
// requests, OACKs and acknowledgements.
func TestLossyNetwork(t *testing.T) {
	data := content(100_000)
	for _, single := range []bool{false, true} {
		r := start(t, Server{
			FS: files(map[string][]byte{"file": data}), SinglePort: single,
			limits: limits{timeout: 10 * time.Millisecond, retries: 50},
		})
		for _, nth := range []int{5, 20, 100} {
			for _, window := range []int{0, 1, 4, 16, 64} {
				options := []string{"blksize", "1024", "windowsize", strconv.Itoa(window)}
				if window == 0 {
					options = options[:2] // lock-step
				}
				c := newClient(t, newRelay(t, r.addr, nth).addr())
				got := c.fetch(25*time.Millisecond, "file", max(window, 1), 1024, options...)
				if !bytes.Equal(got, data) {
					t.Errorf("single port %v, one in %d lost, window %d: got %d bytes that are not the file", single, nth, window, len(got))
				}
			}
		}
	}
}
