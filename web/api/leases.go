package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/leases"
)

// Lease is an address that a client has, or had.
type Lease struct {
	Address netip.Addr `json:"address"`
	// MAC is the client's. It is "" for an address that no client gets, since another
	// station was found at it.
	MAC provision.MAC `json:"mac,omitempty"`
	// Machine is the machine of the site that has this network card, and Name its name.
	// Without one the client is a stranger.
	Machine provision.MAC `json:"machine,omitempty"`
	Name    string        `json:"name,omitempty"`
	// Hostname is what the client calls itself, or else the name that DHCP gave it.
	Hostname string `json:"hostname,omitempty"`
	// Network is the one of this server's networks in which the address is.
	Network string `json:"network,omitempty"`
	// Server made the lease, or renewed it last.
	Server string `json:"server,omitempty"`
	// Since is when the client got the address that it has had without a break.
	Since   time.Time `json:"since,omitzero"`
	Expires time.Time `json:"expires"`
	Ended   bool      `json:"ended,omitempty"`
}

// LeasePage is a page of leases, by address, those of IPv4 first.
type LeasePage struct {
	Leases []Lease `json:"leases"`
	// Next is the query's "after" for the next page, or "" if this is the last. A page
	// with few leases, or none, need not be the last.
	Next string `json:"next,omitempty"`
}

// LeaseQuery selects leases. The zero value is the first page of those that have not
// ended.
type LeaseQuery struct {
	// Of is a machine's name, the MAC of a network card, an address, or a subnet. A name
	// that no machine of the site has is what a client calls itself.
	Of string
	// Network is the name of one of the server's networks.
	Network string
	// All says that leases which have ended belong to it.
	All bool
	// After is [LeasePage.Next] of the page before.
	After string
	Limit int
}

func (q LeaseQuery) values() url.Values {
	values := url.Values{}
	for name, value := range map[string]string{"of": q.Of, "network": q.Network, "after": q.After} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.All {
		values.Set("all", "true")
	}
	if q.Limit != 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return values
}

// Leases returns all leases that a query selects. It asks for one page after the other.
func (c *Client) Leases(ctx context.Context, q LeaseQuery) ([]Lease, error) {
	list := []Lease{}
	for q.Limit = leases.MaxLimit; ; {
		var page LeasePage
		if err := c.do(ctx, http.MethodGet, "leases?"+q.values().Encode(), nil, &page); err != nil {
			return nil, err
		}
		list = append(list, page.Leases...)
		if page.Next == "" {
			return list, nil
		}
		if page.Next == q.After || len(list) > maxMachines {
			return nil, fmt.Errorf("read the daemon's leases: they do not end; does the daemon have another version?")
		}
		q.After = page.Next
	}
}
