// Package signing signs UEFI programs with their owner's key, as Microsoft's "Windows
// Authenticode Portable Executable Signature Format" has it. The same inputs give the
// same bytes.
//
// The signature, a PKCS #7 message, is made by
// github.com/sassoftware/relic/v8/lib/pkcs7, which lets its caller choose the
// content and the signed attributes. The alternatives do not: the signing
// functions of github.com/smallstep/pkcs7 and github.com/foxboron/go-uefi
// always add the time of day, so the same inputs would give different bytes,
// and github.com/digitorus/pkcs7 wraps the content in an OCTET STRING, where
// Authenticode has a SEQUENCE. Authenticode's SpcIndirectDataContent, a structure of
// five fields, is ours, as only package authenticode of go-uefi and of relic declare it;
// package uki says why neither is used.
package signing

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloudlets/images/disk/uki"
)

// minKey is the size in bits of the smallest key that firmware accepts.
const minKey = 2048

// Key is a machine owner's private key with its certificate, which is enrolled
// in the firmware.
type Key struct {
	private     *rsa.PrivateKey
	certificate *x509.Certificate
}

// NewKey parses a private key and its certificate, both in PEM. The key must be
// an RSA key, because firmware supports other kinds unreliably, and must not
// have a passphrase. The certificate must be valid at the time now.
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
		return nil, fmt.Errorf("the certificate for Secure Boot, issued to %q, does not belong to the private key: use the two files that were made together", certificate.Subject.CommonName)
	}
	return &Key{private, certificate}, nil
}

var _ uki.Owner = (*Key)(nil)

// Sign returns the UEFI program f with a signature. It reads f once to compute
// the digest; the caller reads it again through the result. Signing the same
// program with the same key again gives the same bytes.
func (k *Key) Sign(ctx context.Context, f uki.File) (uki.File, error) {
	return k.Recording(uki.Signatures{}).Sign(ctx, f)
}

// Recording implements [uki.Owner].
func (k *Key) Recording(kept uki.Signatures) uki.Signer {
	return uki.Recorder{Message: k.signature, Kept: kept}
}

// Name returns the common name in the certificate.
func (k *Key) Name() string { return k.certificate.Subject.CommonName }

func parsePrivate(text []byte) (*rsa.PrivateKey, error) {
	for block, left := pem.Decode(text); block != nil; block, left = pem.Decode(left) {
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, errors.New("it has a passphrase: remove the passphrase with \"openssl pkey -in KEY -out FILE\", and let only yourself read FILE")
		}
		private, err := parseKey(block)
		if err != nil {
			return nil, err
		}
		if bits := private.N.BitLen(); bits < minKey {
			return nil, fmt.Errorf("it has %d bits, but firmware requires at least %d: make a longer key", bits, minKey)
		}
		return private, nil
	}
	return nil, errors.New("it contains no private key: look for the file that begins with -----BEGIN PRIVATE KEY-----")
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

var errNotRSA = errors.New("it is not an RSA key, and firmware supports other kinds unreliably: make an RSA key")

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
			return nil, fmt.Errorf("it expired on %s: make a new certificate for the same key", c.NotAfter.Format(time.DateOnly))
		case now.Before(c.NotBefore):
			return nil, fmt.Errorf("it is not valid before %s: check the clock of this computer", c.NotBefore.Format(time.DateOnly))
		}
		return c, nil
	}
	return nil, errors.New("it contains no certificate: look for the file that begins with -----BEGIN CERTIFICATE-----")
}
