package dhcp

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// cards is a Reserver that keeps one address for two cards of one machine.
type cards struct{ reservations }

func (c cards) Reserved(a netip.Addr) (net.HardwareAddr, bool) {
	for _, addr := range c.reservations {
		if addr == a {
			first := mac(1)
			return first[:], true
		}
	}
	return nil, false
}

func tableOfCards(c *clock) *table {
	return tableOf(c, cards{reservations{mac(1): ip(50), mac(2): ip(50)}}, 10, 20)
}

// TestOneReservationTwoCards: whichever card asks first gets the machine's address,
// and the other one an address of the pool.
func TestOneReservationTwoCards(t *testing.T) {
	for _, order := range [][2]station{{mac(1), mac(2)}, {mac(2), mac(1)}} {
		tab := tableOfCards(newClock())
		take(t, tab, order[0], ip(50))
		second := tab.offer(order[1], noAddr)
		wantGrant(t, "offer to the second card", second, Granted, ip(10))
		if want := "reserved address 10.0.0.50 is leased to " + order[0].String(); !strings.Contains(second.Reason, want) {
			t.Errorf("reason %q, want %q", second.Reason, want)
		}
		wantGrant(t, "the first card's address for the second", tab.request(order[1], ip(50), true), Refused, noAddr)
		take(t, tab, order[1], ip(10))
		wantGrant(t, "a third client asks for it", tab.request(mac(3), ip(50), true), Refused, noAddr)
	}
}

// TestTwoCardsAtOnce: both cards ask before either has a lease.
func TestTwoCardsAtOnce(t *testing.T) {
	tab := tableOfCards(newClock())
	wantGrant(t, "offer to the first card", tab.offer(mac(1), noAddr), Granted, ip(50))
	wantGrant(t, "offer to the second card", tab.offer(mac(2), noAddr), Granted, ip(10))
	// The first card takes another server's offer, so the address is free again.
	tab.withdraw(mac(1))
	g := tab.request(mac(2), ip(10), true)
	wantGrant(t, "the second card takes what it was offered", g, Granted, ip(10))
	if _, _, ok := tab.bind(mac(2), g); !ok {
		t.Error("the address of the offer was not given")
	}
}

// TestACardKeepsItsLease: the first card's lease ends. The second, whose system uses
// an address of the pool, renews that, and gets the reserved one when it starts anew.
func TestACardKeepsItsLease(t *testing.T) {
	c := newClock()
	tab := tableOfCards(c)
	take(t, tab, mac(1), ip(50))
	c.forward(40 * time.Minute)
	take(t, tab, mac(2), ip(10))
	c.forward(30 * time.Minute)
	wantGrant(t, "renewal", tab.request(mac(2), ip(10), false), Granted, ip(10))
	take(t, tab, mac(2), ip(50))
	wantGrant(t, "offer to the first card", tab.offer(mac(1), noAddr), Granted, ip(11))
}

// TestAnotherAddressIsReserved: a client's own new reservation takes effect when it
// renews.
func TestAnotherAddressIsReserved(t *testing.T) {
	r := reservations{}
	tab := tableOf(newClock(), r, 10, 20)
	take(t, tab, mac(1), ip(10))
	r[mac(1)] = ip(50)
	wantGrant(t, "renewal", tab.request(mac(1), ip(10), false), Refused, noAddr)
}
