package api

import (
	"context"
	"net/http"
	"time"
)

// Networks returns the networks that the daemon serves.
func (c *Client) Networks(ctx context.Context) (list Networks, err error) {
	return list, c.do(ctx, http.MethodGet, "networks", nil, &list)
}

// NetworkInfo is one network that this server serves.
type NetworkInfo struct {
	Name string `json:"name"`
	// Interface is the one that it is served on; "" means through relays.
	Interface string `json:"interface,omitempty"`
	Subnet    string `json:"subnet,omitempty"`
	// Address is the server's own there; "" while the interface is not there, and
	// behind relays.
	Address string `json:"address,omitempty"`
	// DHCP is "pool", "proxy" or "off".
	DHCP string `json:"dhcp"`
	// Pool has the ranges to give out, PoolSize is how many addresses these are,
	// and PoolUsed how many of them are leased, offered or kept out of use.
	Pool     string `json:"pool,omitempty"`
	PoolSize int    `json:"poolSize"`
	PoolUsed int    `json:"poolUsed"`
	// Waiting are the machines that asked for an address in the last minutes and
	// have none.
	Waiting []WaitingInfo `json:"waiting,omitempty"`
	// Unanswered says why requests got no address since the server started; at most 16
	// reasons, that of the last request first.
	Unanswered []UnansweredInfo `json:"unanswered,omitempty"`
	// OtherServers are other DHCP servers that were seen on the network in the last 24
	// hours, at most 16.
	OtherServers []OtherServerInfo `json:"otherServers,omitempty"`
}

// OtherServerInfo is another DHCP server or proxy that answers on a network.
type OtherServerInfo struct {
	Server string `json:"server"`
	// Offered is the address that it offered; "" for a proxy. File is the boot file
	// that it named, if any.
	Offered string `json:"offered,omitempty"`
	File    string `json:"file,omitempty"`
	// Interface is where this server saw it, Since first and Last for the last time.
	Interface string    `json:"interface"`
	Since     time.Time `json:"since"`
	Last      time.Time `json:"last"`
	// Answers says that it answered when this server looked last, at most ten minutes ago.
	Answers bool `json:"answers"`
}

// Does says what it does to machines: "offered 10.0.0.9".
func (o OtherServerInfo) Does() string {
	switch {
	case o.Offered != "" && o.File != "":
		return "offered " + o.Offered + " and names the boot file " + o.File
	case o.Offered != "":
		return "offered " + o.Offered
	case o.File != "":
		return "names the boot file " + o.File
	}
	return "answers without an address"
}

// Full says whether no address of the pool is left.
func (n NetworkInfo) Full() bool { return n.PoolSize > 0 && n.PoolUsed >= n.PoolSize }

// Reached says how the network is reached.
func (n NetworkInfo) Reached() string {
	switch {
	case n.Interface == "":
		return "through relays"
	case n.Address == "":
		return n.Interface + " (not there)"
	}
	return n.Interface + " " + n.Address
}

// WaitingInfo is a machine that has no address.
type WaitingInfo struct {
	MAC      string    `json:"mac"`
	Relay    string    `json:"relay,omitempty"`
	Since    time.Time `json:"since"`
	Last     time.Time `json:"last"`
	Requests int       `json:"requests"`
	// Reason says why its last request was not answered.
	Reason string `json:"reason"`
}

// UnansweredInfo is how often requests got no address for one reason.
type UnansweredInfo struct {
	Reason   string `json:"reason"`
	Requests int    `json:"requests"`
	// MAC is the machine that asked last, Relay the relay agent by which it did, if
	// any, and Last when that was.
	MAC   string    `json:"mac"`
	Relay string    `json:"relay,omitempty"`
	Last  time.Time `json:"last"`
}

// Networks are the networks that this server serves.
type Networks struct {
	Networks []NetworkInfo `json:"networks"`
	// Elsewhere are machines behind relays whose networks are not served.
	Elsewhere []WaitingInfo `json:"elsewhere,omitempty"`
	// UnansweredElsewhere is [NetworkInfo.Unanswered] of these networks.
	UnansweredElsewhere []UnansweredInfo `json:"unansweredElsewhere,omitempty"`
}
