package dhcp

import (
	"encoding/binary"
	"hash/fnv"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// members are the servers that share a network: its clients and the free addresses
// of its pools ([slots] of them) are divided among those that are alive. A client's member answers it
// at once, the others only if the client has waited in vain (RFC 3074, where that is
// the service delay).
//
// RFC 3074 hashes the client identifier, or else the hardware address, with
// Pearson's hash, and gives each server some of its 256 values by configuration.
// Here a client is its MAC, since firmware, loader and operating system of a machine
// send different identifiers. Rendezvous hashing says whose it is, which takes no
// configuration: when a member comes or goes, only its share moves.
type members struct {
	list func() (self string, live []string) // nil if this server is alone
}

// now returns the ID of this server, and those of all that are alive.
func (m members) now() (self string, live []string) {
	if m.list == nil {
		return "", nil
	}
	return m.list()
}

// slotKey makes the key of a slot of addresses one that is no client's.
const slotKey = 1 << 48

// ownerOf chooses the member that a key belongs to: the one with the largest hash
// of both.
func ownerOf(key uint64, live []string) (owner string) {
	var largest uint64
	for _, id := range live {
		h := fnv.New64a()
		h.Write([]byte(id))
		if weight := scramble(h.Sum64() ^ scramble(key)); owner == "" || weight > largest {
			owner, largest = id, weight
		}
	}
	return owner
}

// scramble makes each bit of a number depend on all others.
func scramble(n uint64) uint64 {
	n ^= n >> 33
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	n *= 0xc4ceb9fe1a85ec53
	return n ^ n>>33
}

const (
	// longWait is how long a client has asked in vain when another member
	// answers it. Firmware asks again after 4 seconds, and gives up after a
	// minute.
	longWait = 3 * time.Second
	// longSecs is from which value on a client's own count of seconds is taken
	// for that. Some firmware sends 4 from the start, and some always 0.
	longSecs = 5
)

// leftTo returns the ID of the member to which a packet is left, or "" if this
// server answers it.
func (s *service) leftTo(req Request) string {
	self, live := s.members.now()
	mac, ok := stationOf(req.Client.MAC)
	if len(live) < 2 || !ok || req.Port != ServerPort {
		return ""
	}
	switch req.Packet.MessageType() {
	case dhcpv4.MessageTypeDiscover:
	case dhcpv4.MessageTypeRequest:
		if isForOne(req) {
			s.waits.forget(mac)
			return ""
		}
	default:
		return ""
	}
	var key [8]byte
	copy(key[2:], mac[:])
	owner := ownerOf(binary.BigEndian.Uint64(key[:]), live)
	if owner == self || req.Packet.NumSeconds >= longSecs || s.waits.since(mac, s.server.Now()) >= longWait {
		return ""
	}
	return owner
}

// isForOne says whether a REQUEST is for one server (RFC 2131, 4.3.2): the client
// takes the offer of a server, which it names, or renews its lease, and sends that
// to whom it got it from. A client that rebinds its lease, or comes back with it
// after a restart, asks all; a relay sends that to each server alone.
func isForOne(req Request) bool {
	p := req.Packet
	renews := req.Unicast && toAddr(p.ClientIPAddr).IsValid() && !toAddr(p.GatewayIPAddr).IsValid()
	return renews || toAddr(p.ServerIdentifier()).IsValid()
}

// waits remembers since when clients of other members ask.
type waits struct{ recent[time.Time] }

// since returns how long a client has asked, and notes that it does.
func (w *waits) since(mac station, now time.Time) time.Duration {
	return now.Sub(w.putFirst(mac, now, now))
}
