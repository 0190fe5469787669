package serving

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"cloudlets/dhcp"
)

// Waiting is a client that asked for an address and got none.
type Waiting struct {
	Client dhcp.Client
	// Relay is the relay agent that its last packet came by; invalid if none.
	Relay netip.Addr
	// Since and Last are when it asked first and last.
	Since, Last time.Time
	Requests    int
	// Reason says why the last request was not answered.
	Reason string
}

// Unanswered is how often requests got no address for one reason.
type Unanswered struct {
	Reason   string
	Requests int
	// Client sent the last of them, at the time Last, by the relay agent Relay,
	// which is invalid if there was none.
	Client net.HardwareAddr
	Relay  netip.Addr
	Last   time.Time
}

// What is remembered of the clients of one network takes at most 256 kB: a client has
// four texts from options of 255 bytes at most, and a reason is some 200 bytes.
const (
	// maxWaitingClients bounds the clients that are remembered for each network.
	maxWaitingClients = 64
	// maxReasons bounds the reasons that are remembered for each network.
	maxReasons = 16
	// waitingSpan is how long a client counts as waiting after its last request.
	waitingSpan = 10 * time.Minute
)

// WaitingList are the clients of a network that have no address. The zero value is
// empty.
type WaitingList struct {
	mu      sync.Mutex
	clients map[dhcp.Station]Waiting
	reasons map[string]Unanswered
}

// Add notes a request that got no answer.
func (w *WaitingList) Add(client dhcp.Client, relay netip.Addr, reason string, now time.Time) {
	mac, ok := dhcp.StationOf(client.MAC)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clients == nil {
		w.clients, w.reasons = map[dhcp.Station]Waiting{}, map[string]Unanswered{}
	}
	c, known := w.clients[mac]
	if !known {
		w.makeRoom(now)
		c.Since = now
	}
	c.Client, c.Relay, c.Last, c.Reason = client, relay, now, reason
	c.Client.MAC = net.HardwareAddr(slices.Clone(mac[:]))
	c.Requests++
	w.clients[mac] = c
	w.count(Unanswered{Reason: reason, Client: c.Client.MAC, Relay: c.Relay, Last: now})
}

// count counts a request for its reason. If there are too many reasons, it forgets the
// one whose last request is the oldest.
func (w *WaitingList) count(u Unanswered) {
	was, known := w.reasons[u.Reason]
	if !known && len(w.reasons) >= maxReasons {
		oldest := slices.MinFunc(slices.Collect(maps.Values(w.reasons)), func(a, b Unanswered) int { return a.Last.Compare(b.Last) })
		delete(w.reasons, oldest.Reason)
	}
	u.Requests = was.Requests + 1
	w.reasons[u.Reason] = u
}

// Unanswered lists the reasons, that of the last request first.
func (w *WaitingList) Unanswered() []Unanswered {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.SortedFunc(maps.Values(w.reasons), func(a, b Unanswered) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Reason, b.Reason))
	})
}

// makeRoom forgets clients that gave up and, if there are still too many, the one
// that asked least recently.
func (w *WaitingList) makeRoom(now time.Time) {
	if len(w.clients) < maxWaitingClients {
		return
	}
	var oldest dhcp.Station
	for mac, c := range w.clients {
		if now.Sub(c.Last) > waitingSpan {
			delete(w.clients, mac)
		} else if first, ok := w.clients[oldest]; !ok || c.Last.Before(first.Last) {
			oldest = mac
		}
	}
	if len(w.clients) >= maxWaitingClients {
		delete(w.clients, oldest)
	}
}

// End notes that a client got an answer.
func (w *WaitingList) End(hw net.HardwareAddr) {
	mac, ok := dhcp.StationOf(hw)
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.clients, mac)
}

// List returns the clients that still wait, those that asked last first.
func (w *WaitingList) List(now time.Time) (all []Waiting) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.clients {
		if now.Sub(c.Last) <= waitingSpan {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b Waiting) int {
		return cmp.Or(b.Last.Compare(a.Last), slices.Compare(a.Client.MAC, b.Client.MAC))
	})
	return all
}
