//go:build linux

package doctor

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"cloudlets/cmd/cloudlets/daemon"
	"cloudlets/provision/site"
	"cloudlets/provision/site/keys"
	"cloudlets/provision/store/etcd"
	"cloudlets/web/api"
)

// checkStore asks the members of etcd how they are, if the store is there.
func checkStore(ctx context.Context, s keys.StoreSettings) []Finding {
	if !s.Shared() {
		return nil
	}
	o, err := daemon.EtcdOptions(s)
	if err != nil {
		return []Finding{Found("the store in etcd", err)}
	}
	answers, err := etcd.Check(ctx, o)
	if err != nil {
		return []Finding{Found("the store in etcd", err)}
	}
	findings := make([]Finding, len(answers))
	for i, err := range answers {
		findings[i] = Found("etcd at "+s.Etcd[i], err)
	}
	return findings
}

// checkSites compares the copies of the site that the servers have which share the
// store with the one that runs here, if one does.
func checkSites(ctx context.Context, socket string) []Finding {
	c := api.NewClient(socket)
	defer c.Close()
	list, err := c.Servers(ctx)
	if err != nil || len(list.Servers) < 2 {
		return nil // no server runs here, or it is alone
	}
	findings := make([]Finding, len(list.Servers))
	for i, s := range list.Servers {
		findings[i] = Finding{What: fmt.Sprintf("server %s at %s", s.Name, s.URL)}
		if s.SiteDiffers {
			findings[i].Problem = "its copy of the site differs from the one here: make them the same"
		}
	}
	return findings
}

// neighbourLimit is how many hosts of its own networks the kernel talks to at most.
const neighbourLimit = "/proc/sys/net/ipv4/neigh/default/gc_thresh3"

// checkNeighbours compares the number of machines with how many neighbours the
// kernel keeps. If there are more, it cannot answer some.
func checkNeighbours(site *site.Site) []Finding {
	text, err := os.ReadFile(neighbourLimit)
	if err != nil {
		return nil // only the host's own namespace shows it
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	machines := len(site.Specs())
	if err != nil || machines < limit {
		return nil
	}
	return []Finding{{
		What: fmt.Sprintf("%d machines", machines),
		Problem: fmt.Sprintf("the kernel talks to at most %d hosts of its own networks at once: raise that with `sysctl -w net.ipv4.neigh.default.gc_thresh1=%d net.ipv4.neigh.default.gc_thresh2=%d net.ipv4.neigh.default.gc_thresh3=%d`",
			limit, 2*machines, 3*machines, 4*machines),
	}}
}
