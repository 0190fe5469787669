package v4

import (
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
	"cloudlets/dhcp/table"
)

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
func (s *service) leftTo(req dhcp.Request) string {
	self, live := s.members.Now()
	mac, ok := dhcp.StationOf(req.Client.MAC)
	if len(live) < 2 || !ok || req.Port != dhcp.ServerPort {
		return ""
	}
	switch req.Packet.MessageType() {
	case dhcpv4.MessageTypeDiscover:
	case dhcpv4.MessageTypeRequest:
		if isForOne(req) {
			s.waits.Forget(mac)
			return ""
		}
	default:
		return ""
	}
	owner := table.OwnerOfClient(mac, live)
	if owner == self || req.Packet.NumSeconds >= longSecs || s.waits.since(mac, s.server.Now()) >= longWait {
		return ""
	}
	return owner
}

// isForOne says whether a REQUEST is for one server (RFC 2131, 4.3.2): the client
// takes the offer of a server, which it names, or renews its lease, and sends that
// to whom it got it from. A client that rebinds its lease, or comes back with it
// after a restart, asks all; a relay sends that to each server alone.
func isForOne(req dhcp.Request) bool {
	p := req.Packet
	renews := req.Unicast && dhcp.ToAddr(p.ClientIPAddr).IsValid() && !dhcp.ToAddr(p.GatewayIPAddr).IsValid()
	return renews || dhcp.ToAddr(p.ServerIdentifier()).IsValid()
}

// waits remembers since when clients of other members ask.
type waits struct {
	serving.Recent[dhcp.Station, time.Time]
}

// since returns how long a client has asked, and notes that it does.
func (w *waits) since(mac dhcp.Station, now time.Time) time.Duration {
	return now.Sub(w.PutFirst(mac, now, now))
}
