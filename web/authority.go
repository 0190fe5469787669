package web

import (
	"crypto/x509"
	"errors"
	"net/http"

	"cloudlets/provision/authority"
	"cloudlets/web/api"
)

// ErrForeignAuthority says that the site's authority is not its own, so that there
// is no next one.
var ErrForeignAuthority = errors.New("cloudlets.json names a certificate of somebody else's making, who makes the next one, too: change \"cert\", \"key\" and \"ca\" of \"https\" when machines trust it")

// NewAuthority describes a certificate.
func NewAuthority(c *x509.Certificate, generation int) api.Authority {
	return api.Authority{
		PEM: string(authority.PEM(c)), Fingerprint: authority.Fingerprint(c), Subject: c.Subject.String(),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Generation: generation,
	}
}

// errNoHTTPS says how to switch HTTPS on.
var errNoHTTPS = refuse(http.StatusConflict, "this server has no HTTPS: write \"https\": true into the site's cloudlets.json, and restart it")

// authority answers with what machines have to trust now.
func (s *Server) authority(r *http.Request) (any, error) {
	if s.Authority == nil {
		return nil, errNoHTTPS
	}
	return s.Authority(r.Context(), false)
}

// nextAuthority answers with what machines will have to trust next, and makes that if
// there is none.
func (s *Server) nextAuthority(r *http.Request) (any, error) {
	if s.Authority == nil {
		return nil, errNoHTTPS
	}
	next, err := s.Authority(r.Context(), true)
	if errors.Is(err, ErrForeignAuthority) {
		return nil, refuse(http.StatusConflict, "%v", ErrForeignAuthority)
	}
	return next, err
}
