package v4

import (
	"net/netip"
	"sync"
	"time"
)

// hostRecheck is how long the list of this host's addresses is taken to be right. An
// address that is added is kept from clients after that time at the latest.
const hostRecheck = time.Second

// hostAddresses are the addresses of this host, on all its interfaces. They change
// while the server runs: a virtual address moves here, or a person adds one.
type hostAddresses struct {
	list func() ([]netip.Addr, error)
	now  func() time.Time

	mu    sync.Mutex
	read  time.Time
	known map[netip.Addr]bool
}

// has says whether this host has an address.
func (h *hostAddresses) has(a netip.Addr) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.now(); h.known == nil || now.Sub(h.read).Abs() >= hostRecheck {
		h.reread(now)
	}
	return h.known[a]
}

// reread lists the addresses again. If that fails, the last list stands.
func (h *hostAddresses) reread(now time.Time) {
	h.read = now
	addrs, err := h.list()
	if err != nil && h.known != nil {
		return
	}
	h.known = make(map[netip.Addr]bool, len(addrs))
	for _, a := range addrs {
		h.known[a] = true
	}
}
