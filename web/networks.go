package web

import (
	"net/http"
	"time"
)

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
}

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

// Networks are the networks that this server serves.
type Networks struct {
	Networks []NetworkInfo `json:"networks"`
	// Elsewhere are machines behind relays whose networks are not served.
	Elsewhere []WaitingInfo `json:"elsewhere,omitempty"`
}

// networks answers with the networks.
func (s *Server) networks(*http.Request) (any, error) { return s.networkList(), nil }

func (s *Server) networkList() Networks {
	if s.Networks == nil {
		return Networks{Networks: []NetworkInfo{}}
	}
	return s.Networks()
}
