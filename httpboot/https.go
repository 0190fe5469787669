package httpboot

import (
	"context"
	"net/http"
	"net/netip"

	"cloudlets/httpboot/requests"
	"cloudlets/provision"
)

// HTTPS is how machines reach the servers by HTTPS. The agent always can, since its
// RAM disk says whom to trust. Firmware can if a person told it.
type HTTPS struct {
	// Base and Others are as those of [Chain].
	Base   func(own netip.Addr) string
	Others func(own netip.Addr) []string
	// Firmware says that firmware whose machine's file says nothing trusts the
	// servers, too.
	Firmware bool
}

// isSecureAgent says whether the agent of a machine uses HTTPS.
func (c *Chain) isSecureAgent(spec *provision.Spec) bool {
	return c.HTTPS != nil && (spec.HTTPS == nil || *spec.HTTPS)
}

// firmwareBase is the URL of this server for UEFI HTTP Boot of a machine.
func (c *Chain) firmwareBase(own netip.Addr, spec *provision.Spec) string {
	if c.isSecureAgent(spec) && (c.HTTPS.Firmware || spec.HTTPS != nil) {
		return c.HTTPS.Base(own)
	}
	return c.Base(own)
}

// scriptBase is the URL of this server for who asks for a script: an iPXE goes on as
// it came, since an iPXE that came by HTTP trusts no authority of the site.
func (c *Chain) scriptBase(r *http.Request) string {
	if r.TLS != nil && c.HTTPS != nil {
		return c.HTTPS.Base(requests.LocalAddr(r.Context()))
	}
	return c.base(r.Context())
}

// servers are the URLs of all servers that can install a machine, for its agent,
// the one first that an HTTP request came to.
func (c *Chain) servers(ctx context.Context, spec *provision.Spec) []string {
	if c.isSecureAgent(spec) {
		return listServers(ctx, c.HTTPS.Base, c.HTTPS.Others)
	}
	return c.plainServers(ctx)
}

// plainServers are the URLs of all servers by HTTP, for who trusts no authority of the
// site: the one first that an HTTP request came to.
func (c *Chain) plainServers(ctx context.Context) []string {
	return listServers(ctx, c.Base, c.Others)
}

func listServers(ctx context.Context, base func(netip.Addr) string, others func(netip.Addr) []string) []string {
	own := requests.LocalAddr(ctx)
	all := []string{base(own)}
	if others != nil {
		all = append(all, others(own)...)
	}
	return all[:min(len(all), maxServers)]
}

// maxServers bounds the servers on a kernel command line, which has not room for
// many.
const maxServers = 4
