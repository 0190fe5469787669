package v6

import (
	"crypto/sha256"
	"net"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

// askers remembers by their DUIDs from which cards boot clients asked a proxy for an
// offer. UEFI's PXE then asks on the boot port from an address that another server gave
// it, with the DUID of the whole machine, so that nothing in its packet tells the card.
type askers struct {
	serving.Recent[duidSum, dhcp.Station]
}

// duidSum stands for a DUID, which may be long.
type duidSum [sha256.Size]byte

// complete sets the card of a client that asks on the boot port to that which asked last
// with the same DUID. The firmware of a machine tries its cards one after the other.
func (a *askers) complete(req Request, c *dhcp.Client, now time.Time) {
	id := req.Message.Options.ClientID()
	if id == nil || c.Kind != dhcp.PXE {
		return
	}
	key := duidSum(sha256.Sum256(id.ToBytes()))
	switch {
	case req.Port == ServerPort && req.Message.MessageType == dhcpv6.MessageTypeSolicit:
		if mac, ok := dhcp.StationOf(c.MAC); ok {
			a.Put(key, mac, now)
		}
	case req.Port == BootPort && fromEUI64(req.peer()) == nil:
		if mac, ok := a.Get(key); ok {
			c.MAC = net.HardwareAddr(mac[:])
		}
	}
}
