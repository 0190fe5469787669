package authority

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	serverBits = 2048
	// A certificate of a server is valid from skew before it was made, since clocks
	// of machines may be slow, until lifetime after that. It is made again when less
	// than renewal is left.
	skew     = 30 * 24 * time.Hour
	lifetime = 90 * 24 * time.Hour
	renewal  = 30 * 24 * time.Hour
	// maxIssued bounds the certificates that are kept. A server has few addresses.
	maxIssued = 64
)

// Source has a server's certificates.
type Source interface {
	// Certificate returns the certificate for connections to an address of this
	// server, as it is to be now.
	Certificate(at netip.Addr, now time.Time) (*tls.Certificate, error)
}

// Issuer makes the certificates of one server, from an authority: one for each of
// the server's addresses, when the first connection comes to it. So an address that
// a server gets later has one, too.
type Issuer struct {
	ca  *CA
	key *rsa.PrivateKey

	mu     sync.Mutex
	issued map[netip.Addr]*tls.Certificate
}

var _ Source = (*Issuer)(nil)

// NewIssuer returns an issuer with a key of its own, which only memory has.
func (ca *CA) NewIssuer() (*Issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, serverBits)
	if err != nil {
		return nil, fmt.Errorf("make the key of this server: %w", err)
	}
	return &Issuer{ca: ca, key: key, issued: map[netip.Addr]*tls.Certificate{}}, nil
}

// Certificate implements [Source]. It depends only on what the clock says now, so it
// is right again as soon as the clock is, after a jump in either direction.
func (i *Issuer) Certificate(at netip.Addr, now time.Time) (*tls.Certificate, error) {
	if !at.IsValid() {
		return nil, errors.New("make a certificate: the server's address is not known")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if made := i.issued[at]; made != nil && isFresh(made.Leaf, now) {
		return made, nil
	}
	made, err := i.issue(at, now)
	if err != nil {
		return nil, fmt.Errorf("make a certificate for %s: %w", at, err)
	}
	if len(i.issued) >= maxIssued {
		clear(i.issued)
	}
	i.issued[at] = made
	return made, nil
}

// isFresh says whether a certificate of a server need not be made again.
func isFresh(c *x509.Certificate, now time.Time) bool {
	return now.Sub(c.NotBefore) >= skew/2 && c.NotAfter.Sub(now) >= renewal
}

func (i *Issuer) issue(at netip.Addr, now time.Time) (*tls.Certificate, error) {
	if authority := i.ca.Certificate; now.Before(authority.NotBefore) || now.After(authority.NotAfter) {
		return nil, fmt.Errorf("this server's clock says %s, and the authority is valid from %s until %s: set the clock", now.UTC().Format(time.RFC3339), authority.NotBefore.Format(time.RFC3339), authority.NotAfter.Format(time.RFC3339))
	}
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		Subject:      pkix.Name{CommonName: at.String()},
		IPAddresses:  []net.IP{at.AsSlice()},
		NotBefore:    now.Add(-skew), NotAfter: now.Add(lifetime),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, i.ca.Certificate, &i.key.PublicKey, i.ca.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: i.key, Leaf: leaf}, nil
}
