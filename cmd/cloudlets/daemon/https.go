//go:build linux

package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"cloudlets/httpboot"
	"cloudlets/provision/authority"
	"cloudlets/provision/site/keys"
	"cloudlets/provision/store"
	"cloudlets/web"
	"cloudlets/web/api"
)

// https is how the server speaks HTTPS. All methods work if it is nil, which means
// that it does not.
type https struct {
	listen string // ":443" for each address
	config *tls.Config
	trust  *x509.Certificate // what machines have to trust
	// generation is that of the site's own authority; 0 if there is none.
	generation int
}

// HTTPSListen is where a server with these settings listens for HTTPS: on the hosts
// of HTTP.
func HTTPSListen(s keys.Settings) string {
	host, _, _ := net.SplitHostPort(s.HTTP)
	return net.JoinHostPort(host, strconv.Itoa(s.HTTPS.Port))
}

// openHTTPS reads the server's certificate, or opens the site's authority. It
// returns nil if HTTPS is off.
func (d *Daemon) openHTTPS(ctx context.Context) (*https, error) {
	s := d.Settings.HTTPS
	if !s.On() {
		return nil, nil
	}
	h := &https{listen: HTTPSListen(d.Settings)}
	source, err := h.open(ctx, d, s)
	if err != nil {
		return nil, fmt.Errorf("serve HTTPS: %w", err)
	}
	// A clock that is wrong, or a certificate of use for nobody, is found now.
	if _, err := source.Certificate(d.places.first(), time.Now()); err != nil {
		return nil, fmt.Errorf("serve HTTPS: %w", err)
	}
	h.config = authority.ServerConfig(source, time.Now)
	return h, nil
}

// open sets what machines have to trust, and returns the certificates for them.
func (h *https) open(ctx context.Context, d *Daemon, s keys.HTTPSSettings) (authority.Source, error) {
	var err error
	if s.Cert != "" {
		if h.trust, err = authority.ReadCertificate(s.CA); err != nil {
			return nil, err
		}
		return authority.OpenFiles(s.Cert, s.Key, d.Log)
	}
	ca, err := authority.Open(ctx, d.store, s.Generation)
	if err != nil {
		return nil, err
	}
	h.trust, h.generation = ca.Certificate, ca.Generation
	return ca.NewIssuer()
}

// pem is what agents trust; nil if they use no HTTPS.
func (h *https) pem() []byte {
	if h == nil {
		return nil
	}
	return authority.PEM(h.trust)
}

// api tells the API what machines have to trust, and what they will have to with the
// next generation.
func (h *https) api(s store.Store) func(context.Context, bool) (api.Authority, error) {
	if h == nil {
		return nil
	}
	return func(ctx context.Context, next bool) (api.Authority, error) {
		if !next {
			return web.NewAuthority(h.trust, h.generation), nil
		}
		if h.generation == 0 {
			return api.Authority{}, web.ErrForeignAuthority
		}
		ca, err := authority.Open(ctx, s, h.generation+1)
		if err != nil {
			return api.Authority{}, err
		}
		return web.NewAuthority(ca.Certificate, ca.Generation), nil
	}
}

// forMachines is HTTPS as the boot chain knows it.
func (d *Daemon) forMachines() *httpboot.HTTPS {
	if d.https == nil {
		return nil
	}
	return &httpboot.HTTPS{Base: d.secureURL, Others: d.secureOthers, Firmware: d.Settings.HTTPS.Firmware}
}

// secureURL is baseURL for HTTPS.
func (d *Daemon) secureURL(own netip.Addr) string {
	if !own.IsValid() {
		own = d.places.first()
	}
	return baseURL("https", own, d.https.listen)
}

// secureURLs are where machines of the networks reach this server by HTTPS.
func (d *Daemon) secureURLs() []string {
	if d.https == nil {
		return nil
	}
	return d.urls(d.secureURL)
}
