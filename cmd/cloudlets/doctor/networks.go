//go:build linux

package doctor

import (
	"context"
	"fmt"
	"time"

	"cloudlets/web/api"
)

// checkServed asks the server that runs here, if one does, what it has seen on its
// networks.
func checkServed(ctx context.Context, socket string) (findings []Finding) {
	c := api.NewClient(socket)
	defer c.Close()
	list, err := c.Networks(ctx)
	if err != nil {
		return nil // no server runs here
	}
	for _, n := range list.Networks {
		findings = append(findings, poolUse(n)...)
		findings = append(findings, seenServers(n)...)
		findings = append(findings, unanswered("network "+n.Name, n.Waiting, n.Unanswered)...)
	}
	return append(findings, unanswered("networks that are not served", list.Elsewhere, list.UnansweredElsewhere)...)
}

// poolUse says how full the pool of a network is.
func poolUse(n api.NetworkInfo) []Finding {
	if n.PoolSize == 0 {
		return nil
	}
	f := Finding{What: fmt.Sprintf("network %s: %d of %d addresses of the pool in use", n.Name, n.PoolUsed, n.PoolSize)}
	if n.Full() {
		f.Problem = "none is left for another machine: make the pool larger, or the lease time shorter"
	}
	return []Finding{f}
}

// seenServers lists the other DHCP servers that were seen on a network. One that
// answered lately is a problem.
func seenServers(n api.NetworkInfo) (findings []Finding) {
	for _, o := range n.OtherServers {
		f := Finding{What: fmt.Sprintf("network %s: the DHCP server %s %s, seen on %s from %s ago to %s ago", n.Name, o.Server, o.Does(), o.Interface, ago(o.Since), ago(o.Last))}
		if o.Answers {
			f.Problem = "two servers give machines conflicting answers: switch it off on this network, or set \"dhcp\" to \"proxy\" here"
		}
		findings = append(findings, f)
	}
	return findings
}

// unanswered says why requests got no address. It is a problem if machines wait now.
func unanswered(where string, waiting []api.WaitingInfo, reasons []api.UnansweredInfo) (findings []Finding) {
	if len(waiting) > 0 {
		last := waiting[0]
		findings = append(findings, Finding{
			What:    fmt.Sprintf("%s: %d machines wait for an address", where, len(waiting)),
			Problem: fmt.Sprintf("%s asked %d times, last %s ago: %s", last.MAC, last.Requests, ago(last.Last), last.Reason),
		})
	}
	for _, u := range reasons {
		findings = append(findings, Finding{What: fmt.Sprintf("%s: %d requests got no address, last %s ago by %s: %s", where, u.Requests, ago(u.Last), u.MAC, u.Reason)})
	}
	return findings
}

func ago(t time.Time) string { return time.Since(t).Round(time.Second).String() }
