package web_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"cloudlets/web/api"
)

// showsTheNetworks: a person sees how full each pool is, who waits and why, why requests
// got no address before, and other DHCP servers. What they are called stays text.
func showsTheNetworks(t *testing.T, browser context.Context) {
	b := newBed(t)
	var now atomic.Pointer[api.Networks]
	now.Store(&api.Networks{Networks: []api.NetworkInfo{{Name: "lab", Interface: "eth1", Address: "10.0.0.1", DHCP: "pool", PoolSize: 10, PoolUsed: 3}}})
	b.Networks = func() api.Networks { return *now.Load() }
	p := openPage(t, browser, b, "")
	p.waitText("#networks-count", "Network lab, 3 of 10 addresses in use")
	p.wait("document.querySelector('#networks-rivals').hidden")

	last := time.Now()
	full := "no address is free in the pool"
	now.Store(&api.Networks{
		Networks: []api.NetworkInfo{
			{
				Name: "lab", Interface: "eth1", Address: "10.0.0.1", Subnet: "10.0.0.0/24", DHCP: "pool", PoolSize: 10, PoolUsed: 10,
				Waiting:    []api.WaitingInfo{{MAC: "52:54:00:00:00:77", Requests: 4, Last: last, Reason: full}},
				Unanswered: []api.UnansweredInfo{{Reason: full, Requests: 21, MAC: "52:54:00:00:00:77", Last: last}},
				OtherServers: []api.OtherServerInfo{
					{Server: "10.0.0.9", Offered: "10.0.0.50", File: "<b>evil</b>", Interface: "eth1", Since: last, Last: last, Answers: true},
					{Server: "10.0.0.8", File: "pxelinux.0", Interface: "eth1", Since: last, Last: last},
				},
			},
			{Name: "far", Subnet: "10.88.0.0/16", DHCP: "pool", PoolSize: 512, PoolUsed: 7},
		},
		UnansweredElsewhere: []api.UnansweredInfo{{Reason: "no such network is configured", Requests: 2, MAC: "52:54:00:00:00:78", Relay: "10.99.0.1", Last: last}},
	})
	p.waitText("#networks-count", "2 networks, 1 machine without an address")
	p.waitText("#networks-rivals", "Another DHCP server answers on lab: 10.0.0.9.")
	p.wait("!document.querySelector('#networks-rivals').textContent.includes('10.0.0.8')")
	p.press("#networks-count")
	p.waitText("#networks-list li:first-child", "lab 10.0.0.0/24 · eth1 10.0.0.1 · 10 of 10 addresses in use")
	p.waitText("#networks-list li:last-child", "far 10.88.0.0/16 · through relays · 7 of 512 addresses in use")
	p.waitText("#networks-waiting", "52:54:00:00:00:77 (lab) 4 requests")
	p.waitText("#networks-unanswered li:first-child", "21 requests got no address (lab)")
	p.waitText("#networks-unanswered li:first-child", "by 52:54:00:00:00:77: "+full)
	p.waitText("#networks-unanswered li:last-child", "2 requests got no address (not served)")
	p.waitText("#networks-unanswered li:last-child", "by 52:54:00:00:00:78 through 10.99.0.1: no such network")
	p.waitText("#networks-servers li:first-child", "DHCP server 10.0.0.9 (lab) offered 10.0.0.50 and names the boot file <b>evil</b>; seen on eth1")
	p.waitText("#networks-servers li:last-child", "DHCP server 10.0.0.8 (lab) names the boot file pxelinux.0")
}
