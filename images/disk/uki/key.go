package uki

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// minKey is the least that firmware takes, in bits.
const minKey = 2048

// Key is a machine owner's key and the certificate that firmware knows it by.
type Key struct {
	private     *rsa.PrivateKey
	certificate *x509.Certificate
}

// NewKey takes a private key and its certificate, both in PEM. The key is an
// RSA one without a passphrase, since firmware knows no other reliably. The
// certificate must be valid at the time now.
func NewKey(keyPEM, certificatePEM []byte, now time.Time) (*Key, error) {
	private, err := parsePrivate(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read the key for Secure Boot: %w", err)
	}
	certificate, err := parseCertificate(certificatePEM, now)
	if err != nil {
		return nil, fmt.Errorf("read the certificate for Secure Boot: %w", err)
	}
	if !private.PublicKey.Equal(certificate.PublicKey) {
		return nil, fmt.Errorf("the certificate for Secure Boot, of %q, is not of this key: take the two that were made together", certificate.Subject.CommonName)
	}
	return &Key{private, certificate}, nil
}

// Name is whom the certificate names.
func (k *Key) Name() string { return k.certificate.Subject.CommonName }

func parsePrivate(text []byte) (*rsa.PrivateKey, error) {
	for block, left := pem.Decode(text); block != nil; block, left = pem.Decode(left) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, errors.New("it has a passphrase: take that away with \"openssl pkey -in KEY -out FILE\" where nobody else can read it")
		}
		private, err := parseKey(block)
		if err != nil {
			return nil, err
		}
		if bits := private.N.BitLen(); bits < minKey {
			return nil, fmt.Errorf("it has %d bits, and firmware takes %d or more", bits, minKey)
		}
		return private, nil
	}
	return nil, errors.New("there is no private key in it, which begins with -----BEGIN PRIVATE KEY-----")
}

func parseKey(block *pem.Block) (*rsa.PrivateKey, error) {
	if block.Type == "RSA PRIVATE KEY" {
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	if block.Type == "EC PRIVATE KEY" {
		return nil, errNotRSA
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, errNotRSA
	}
	return private, nil
}

var errNotRSA = errors.New("it is no RSA key, and firmware knows no other reliably")

func parseCertificate(text []byte, now time.Time) (*x509.Certificate, error) {
	for block, left := pem.Decode(text); block != nil; block, left = pem.Decode(left) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			return nil, err
		case now.After(c.NotAfter):
			return nil, fmt.Errorf("it was valid until %s: make a new one for the same key", c.NotAfter.Format(time.DateOnly))
		case now.Before(c.NotBefore):
			return nil, fmt.Errorf("it is valid from %s on: is the clock right?", c.NotBefore.Format(time.DateOnly))
		}
		return c, nil
	}
	return nil, errors.New("there is no certificate in it, which begins with -----BEGIN CERTIFICATE-----")
}
