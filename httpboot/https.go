package httpboot

import (
	"context"
	"net/http"
	"net/netip"

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
		return c.HTTPS.Base(localAddr(r.Context()))
	}
	return c.base(r.Context())
}

// protocol is how a request came, for a machine's trace.
func protocol(r *http.Request) string {
	if r.TLS != nil {
		return "HTTPS"
	}
	return "HTTP"
}

// servers are the URLs of all servers that can install a machine, for its agent,
// the one first that an HTTP request came to.
func (c *Chain) servers(ctx context.Context, spec *provision.Spec) []string {
	own, base, others := localAddr(ctx), c.Base, c.Others
	if c.isSecureAgent(spec) {
		base, others = c.HTTPS.Base, c.HTTPS.Others
	}
	all := []string{base(own)}
	if others != nil {
		all = append(all, others(own)...)
	}
	return all[:min(len(all), maxServers)]
}

// maxServers bounds the servers on a kernel command line, which has not room for
// many.
const maxServers = 4
