package api

import (
	"context"
	"net/http"
	"time"
)

// Authority is the certificate that machines have to trust for HTTPS.
type Authority struct {
	// PEM is the certificate.
	PEM         string    `json:"pem"`
	Fingerprint string    `json:"fingerprint"` // "sha256:…" of its bytes
	Subject     string    `json:"subject"`
	NotBefore   time.Time `json:"notBefore"`
	NotAfter    time.Time `json:"notAfter"`
	// Generation counts the site's own authorities; 0 if it is not one of them.
	Generation int `json:"generation,omitempty"`
}

// Authority returns the certificate that machines have to trust for HTTPS.
func (c *Client) Authority(ctx context.Context) (a Authority, err error) {
	return a, c.do(ctx, http.MethodGet, "authority", nil, &a)
}

// NextAuthority returns the one that they will have to trust next, and makes it if
// there is none yet.
func (c *Client) NextAuthority(ctx context.Context) (a Authority, err error) {
	return a, c.do(ctx, http.MethodPost, "authority/next", nil, &a)
}
