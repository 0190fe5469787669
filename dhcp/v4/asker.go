package v4

import (
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

// asker is a boot client that asked for an offer.
type asker struct {
	transaction dhcpv4.TransactionID
	client      dhcp.Client
}

// askers remembers which boot clients asked for offers. Some firmware says what it
// is in its DISCOVER alone, and leaves out the vendor class when it takes the offer.
// The ACK must name the file all the same: some firmware reads only that one.
type askers struct {
	serving.Recent[dhcp.Station, asker]
}

// complete adds to a REQUEST what its client said in the DISCOVER of the same
// transaction (RFC 2131, 4.4.1: both have one xid).
func (a *askers) complete(req *dhcp.Request, now time.Time) {
	mac, ok := dhcp.StationOf(req.Client.MAC)
	if !ok || req.Port != dhcp.ServerPort {
		return
	}
	switch t := req.Packet.MessageType(); {
	case t == dhcpv4.MessageTypeDiscover && req.Client.Kind != dhcp.Plain:
		a.Put(mac, asker{req.Packet.TransactionID, req.Client}, now)
	case t == dhcpv4.MessageTypeRequest && req.Client.Kind == dhcp.Plain:
		if asked, ok := a.Get(mac); ok && asked.transaction == req.Packet.TransactionID {
			asked.client.Addr = req.Client.Addr
			req.Client = asked.client
		}
	}
}
