package client

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// ReadTrust reads which authority vouches for the servers. It returns nil if none of
// them is reached by HTTPS.
func ReadTrust(file string, servers []string) (*x509.Certificate, error) {
	if !slices.ContainsFunc(servers, func(s string) bool { return strings.HasPrefix(s, "https:") }) {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the server is reached by HTTPS, and this RAM disk has no %s to know it by: restart the machine, so that it gets the server's present RAM disk", file)
	}
	if err != nil {
		return nil, fmt.Errorf("read whom to trust: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("read whom to trust: %s has no certificate in PEM form", file)
	}
	trust, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read whom to trust from %s: %w", file, err)
	}
	return trust, nil
}

// trusting returns a configuration that trusts one authority and no other. Without
// one it trusts nobody.
func trusting(trust *x509.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	if trust != nil {
		roots.AddCert(trust)
	}
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// proving says in its errors why a server's certificate was refused, and what to do.
type proving struct {
	trust *x509.Certificate
	next  *http.Transport
}

var _ http.RoundTripper = (*proving)(nil)

// RoundTrip implements [http.RoundTripper].
func (p *proving) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := p.next.RoundTrip(r)
	refused, is := errors.AsType[*tls.CertificateVerificationError](err)
	if !is || len(refused.UnverifiedCertificates) == 0 {
		return answer, err
	}
	return nil, fmt.Errorf("the certificate of %s is not accepted: %w", r.URL.Host, p.explain(refused))
}

// CloseIdleConnections lets [http.Client.CloseIdleConnections] work.
func (p *proving) CloseIdleConnections() { p.next.CloseIdleConnections() }

// explain says why a certificate was refused.
func (p *proving) explain(refused *tls.CertificateVerificationError) error {
	leaf := refused.UnverifiedCertificates[0]
	if invalid, is := errors.AsType[x509.CertificateInvalidError](refused); is && invalid.Reason == x509.Expired {
		c := invalid.Cert
		return fmt.Errorf("this machine's clock says %s, and it is valid from %s until %s: set the clock in the firmware's setup; if that is right, set the server's", timeText(time.Now()), timeText(c.NotBefore), timeText(c.NotAfter))
	}
	if _, is := errors.AsType[x509.UnknownAuthorityError](refused); is && p.trust != nil {
		return fmt.Errorf("it is from %q, and this machine trusts only %q: another server answers at this address, or the authority was changed since the machine started, and then restart the machine", leaf.Issuer, p.trust.Subject)
	}
	return refused.Err
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }
