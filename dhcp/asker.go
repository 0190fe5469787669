package dhcp

import (
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// asker is a boot client that asked for an offer.
type asker struct {
	transaction dhcpv4.TransactionID
	client      Client
}

// askers remembers which boot clients asked for offers. Some firmware says what it
// is in its DISCOVER alone, and leaves out the vendor class when it takes the offer.
// The ACK must name the file all the same: some firmware reads only that one.
type askers struct{ recent[asker] }

// complete adds to a REQUEST what its client said in the DISCOVER of the same
// transaction (RFC 2131, 4.4.1: both have one xid).
func (a *askers) complete(req *Request, now time.Time) {
	mac, ok := stationOf(req.Client.MAC)
	if !ok || req.Port != ServerPort {
		return
	}
	switch t := req.Packet.MessageType(); {
	case t == dhcpv4.MessageTypeDiscover && req.Client.Kind != Plain:
		a.put(mac, asker{req.Packet.TransactionID, req.Client}, now)
	case t == dhcpv4.MessageTypeRequest && req.Client.Kind == Plain:
		if asked, ok := a.get(mac); ok && asked.transaction == req.Packet.TransactionID {
			asked.client.Addr = req.Client.Addr
			req.Client = asked.client
		}
	}
}
