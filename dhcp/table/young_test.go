package table

import (
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

// TestYoungLeases: only a lease that the store has with nearly its whole term, and of
// which nothing else is on its way to the store, needs not be stored anew.
func TestYoungLeases(t *testing.T) {
	m, addr := dhcptest.MAC(1), dhcptest.IP(10)
	grant := dhcp.Grant{Verdict: dhcp.Granted, Addr: addr, Term: time.Hour}
	for name, c := range map[string]struct {
		change func(*dhcptest.Clock, *Table)
		grant  func(*dhcp.Grant)
		name   string
		rest   time.Duration // 0 if the lease is not young
	}{
		"at once":                {rest: time.Hour},
		"after a quarter":        {change: func(c *dhcptest.Clock, _ *Table) { c.Forward(15 * time.Minute) }, rest: 45 * time.Minute},
		"after more":             {change: func(c *dhcptest.Clock, _ *Table) { c.Forward(15*time.Minute + 1) }},
		"when the clock is back": {change: func(c *dhcptest.Clock, _ *Table) { c.Forward(-time.Minute) }},
		"of a shorter term":      {grant: func(g *dhcp.Grant) { g.Term = 10 * time.Minute }},
		"of a longer term":       {grant: func(g *dhcp.Grant) { g.Term = 2 * time.Hour }},
		"with another name":      {name: "cube"},
		"of another address":     {grant: func(g *dhcp.Grant) { g.Addr = dhcptest.IP(11) }},
		"given back": {change: func(c *dhcptest.Clock, tab *Table) {
			l, _ := tab.Release(m, addr)
			tab.Learn([]dhcp.Lease{l}, false)
			tab.Settled(addr)
		}},
		"given back and wanted again, not stored": {change: func(c *dhcptest.Clock, tab *Table) {
			tab.Release(m, addr)
			tab.Bind(m, grant)
			tab.Settled(addr) // the first of the two
		}},
		"left for another, and wanted again": {change: func(c *dhcptest.Clock, tab *Table) {
			other := grant
			other.Addr = dhcptest.IP(11)
			tab.Bind(m, other)
			tab.Bind(m, grant)
		}},
		"declined": {change: func(c *dhcptest.Clock, tab *Table) { tab.Decline(m, addr) }},
	} {
		t.Run(name, func(t *testing.T) {
			clock := dhcptest.NewClock()
			tab := tableOf(clock, nil, 10, 12)
			l := take(t, tab, m, addr)
			if _, young := tab.Young(m, grant, ""); young {
				t.Error("a lease that is not stored is young")
			}
			tab.Learn([]dhcp.Lease{l}, false)
			tab.Settled(addr)
			g := grant
			if c.grant != nil {
				c.grant(&g)
			}
			if c.change != nil {
				c.change(clock, tab)
			}
			if rest, young := tab.Young(m, g, c.name); young != (c.rest > 0) || young && rest != c.rest {
				t.Errorf("young %t, for %s; want %s", young, rest, c.rest)
			}
		})
	}
}
