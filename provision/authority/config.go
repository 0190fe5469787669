package authority

import (
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"time"
)

// suites are those of TLS 1.2. The last two are for firmware: EDK2 knows no key
// exchange by elliptic curves. TLS 1.3 has its own.
var suites = []uint16{
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
}

// ServerConfig returns how a server speaks TLS: 1.3 with whoever knows it, and 1.2
// with firmware. The certificate is the one for the address that a client reached.
// now tells the time.
//
// The private key is used by few handshakes at once, and one processor is left for
// what does not wait: thousands of machines that are switched on together would
// otherwise keep DHCP from its microseconds.
func ServerConfig(source Source, now func() time.Time) *tls.Config {
	turns := make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		CipherSuites: suites,
		NextProtos:   []string{"http/1.1"}, // the bounds of requests are those of HTTP/1.1
		Time:         now,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			certificate, err := source.Certificate(localAddr(hello.Conn), now())
			if err != nil {
				return nil, err
			}
			return inTurn(certificate, turns)
		},
	}
}

// localAddr is the address of this server that a connection reached; invalid if it
// is not known.
func localAddr(conn net.Conn) netip.Addr {
	at, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr().Unmap().WithZone("")
}

// inTurn returns a certificate whose key waits for its turn.
func inTurn(c *tls.Certificate, turns chan struct{}) (*tls.Certificate, error) {
	signer, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key of this server cannot sign")
	}
	own := *c
	own.PrivateKey = turnSigner{signer, turns}
	if decrypter, ok := c.PrivateKey.(crypto.Decrypter); ok {
		own.PrivateKey = turnKey{turnSigner{signer, turns}, decrypter}
	}
	return &own, nil
}

// turnSigner signs when it is its turn.
type turnSigner struct {
	crypto.Signer
	turns chan struct{}
}

// Sign implements [crypto.Signer].
func (s turnSigner) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.turns <- struct{}{}
	defer func() { <-s.turns }()
	return s.Signer.Sign(random, digest, opts)
}

// turnKey also decrypts, which is what the key exchange of firmware needs.
type turnKey struct {
	turnSigner
	decrypter crypto.Decrypter
}

var _ crypto.Decrypter = turnKey{}

// Decrypt implements [crypto.Decrypter].
func (k turnKey) Decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	k.turns <- struct{}{}
	defer func() { <-k.turns }()
	return k.decrypter.Decrypt(random, message, opts)
}
