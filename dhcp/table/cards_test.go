package table

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

// cards is a Reserver that keeps one address for two cards of one machine.
type cards struct{ dhcptest.Reservations }

func (c cards) Reserved(a netip.Addr) (net.HardwareAddr, bool) {
	for _, addr := range c.Reservations {
		if addr == a {
			first := dhcptest.MAC(1)
			return first[:], true
		}
	}
	return nil, false
}

func tableOfCards(c *dhcptest.Clock) *Table {
	return tableOf(c, cards{dhcptest.Reservations{dhcptest.MAC(1): dhcptest.IP(50), dhcptest.MAC(2): dhcptest.IP(50)}}, 10, 20)
}

// TestOneReservationTwoCards: whichever card asks first gets the machine's address,
// and the other one an address of the pool.
func TestOneReservationTwoCards(t *testing.T) {
	for _, order := range [][2]dhcp.Station{{dhcptest.MAC(1), dhcptest.MAC(2)}, {dhcptest.MAC(2), dhcptest.MAC(1)}} {
		tab := tableOfCards(dhcptest.NewClock())
		take(t, tab, order[0], dhcptest.IP(50))
		second := tab.Offer(order[1], noAddr)
		wantGrant(t, "offer to the second card", second, dhcp.Granted, dhcptest.IP(10))
		if want := "reserved address 10.0.0.50 is leased to " + order[0].String(); !strings.Contains(second.Reason, want) {
			t.Errorf("reason %q, want %q", second.Reason, want)
		}
		wantGrant(t, "the first card's address for the second", tab.Request(order[1], dhcptest.IP(50), true), dhcp.Refused, noAddr)
		take(t, tab, order[1], dhcptest.IP(10))
		wantGrant(t, "a third client asks for it", tab.Request(dhcptest.MAC(3), dhcptest.IP(50), true), dhcp.Refused, noAddr)
	}
}

// TestTwoCardsAtOnce: both cards ask before either has a lease.
func TestTwoCardsAtOnce(t *testing.T) {
	tab := tableOfCards(dhcptest.NewClock())
	wantGrant(t, "offer to the first card", tab.Offer(dhcptest.MAC(1), noAddr), dhcp.Granted, dhcptest.IP(50))
	wantGrant(t, "offer to the second card", tab.Offer(dhcptest.MAC(2), noAddr), dhcp.Granted, dhcptest.IP(10))
	// The first card takes another server's offer, so the address is free again.
	tab.Withdraw(dhcptest.MAC(1))
	g := tab.Request(dhcptest.MAC(2), dhcptest.IP(10), true)
	wantGrant(t, "the second card takes what it was offered", g, dhcp.Granted, dhcptest.IP(10))
	if _, _, ok := tab.Bind(dhcptest.MAC(2), g); !ok {
		t.Error("the address of the offer was not given")
	}
}

// TestACardKeepsItsLease: the first card's lease ends. The second, whose system uses
// an address of the pool, renews that, and gets the reserved one when it starts anew.
func TestACardKeepsItsLease(t *testing.T) {
	c := dhcptest.NewClock()
	tab := tableOfCards(c)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(50))
	c.Forward(40 * time.Minute)
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(10))
	c.Forward(30 * time.Minute)
	wantGrant(t, "renewal", tab.Request(dhcptest.MAC(2), dhcptest.IP(10), false), dhcp.Granted, dhcptest.IP(10))
	take(t, tab, dhcptest.MAC(2), dhcptest.IP(50))
	wantGrant(t, "offer to the first card", tab.Offer(dhcptest.MAC(1), noAddr), dhcp.Granted, dhcptest.IP(11))
}

// TestAnotherAddressIsReserved: a client's own new reservation takes effect when it
// renews.
func TestAnotherAddressIsReserved(t *testing.T) {
	r := dhcptest.Reservations{}
	tab := tableOf(dhcptest.NewClock(), r, 10, 20)
	take(t, tab, dhcptest.MAC(1), dhcptest.IP(10))
	r[dhcptest.MAC(1)] = dhcptest.IP(50)
	wantGrant(t, "renewal", tab.Request(dhcptest.MAC(1), dhcptest.IP(10), false), dhcp.Refused, noAddr)
}
