package dhcptest

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"cloudlets/dhcp"
)

// Clock is a time that only the test moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock makes a clock that stands at the beginning of 2030.
func NewClock() *Clock { return &Clock{now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)} }

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Forward moves the time on.
func (c *Clock) Forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Reservations is a Reserver for tests: MAC to address.
type Reservations map[dhcp.Station]netip.Addr

// Reserve implements [dhcp.Reserver].
func (r Reservations) Reserve(mac net.HardwareAddr, _ netip.Prefix) (dhcp.Reservation, bool) {
	a, ok := r[dhcp.Station(mac)]
	return dhcp.Reservation{Addr: a, Hostname: "kept"}, ok
}

// Reserved implements [dhcp.Reserver].
func (r Reservations) Reserved(a netip.Addr) (net.HardwareAddr, bool) {
	for mac, addr := range r {
		if addr == a {
			return mac[:], true
		}
	}
	return nil, false
}

// MAC is the n-th client.
func MAC(n byte) dhcp.Station { return dhcp.Station{0x52, 0x54, 0, 0, 0, n} }

// IP is an address of 10.0.0.0/24.
func IP(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, last}) }
