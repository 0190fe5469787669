// Package authority has the certificates with which a server proves itself to
// machines: to firmware that boots by HTTPS, and to the agent.
//
// A site may have an authority of its own, a [CA]. Its key is in the store, so
// that all servers that share the store have the same one, and machines need to
// know only that one. [CA.NewIssuer] makes each server's certificates from it.
// [Files] are certificates that somebody else made. [ServerConfig] serves either.
//
// Start reading at [Open].
package authority

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"cloudlets/provision/store"
)

// bucket of the store has the authorities, by their generation.
const bucket = "authority"

// caBits is the length of an authority's key. Firmware verifies RSA alone.
const caBits = 3072

// An authority is valid in this time, whatever a clock says when it is made. So a
// server whose clock was wrong then does not leave a CA that no machine accepts.
// The end is the last year that a UTCTime can say (RFC 5280, 4.1.2.5).
var (
	caFrom  = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	caUntil = time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC)
)

// CA is an authority of a site.
type CA struct {
	Certificate *x509.Certificate
	// Generation counts the authorities of a site, from 1.
	Generation int
	key        *rsa.PrivateKey
}

// record is a CA as the store has it.
type record struct {
	Certificate []byte `json:"certificate"` // DER
	Key         []byte `json:"key"`         // PKCS #8, DER
}

// Open returns the authority of a generation, and makes it if the store has none.
// Several servers may open it at once: the first one's is the authority of all.
func Open(ctx context.Context, s store.Store, generation int) (*CA, error) {
	ca, err := open(ctx, s, generation)
	if err != nil {
		return nil, fmt.Errorf("open the certificate authority, generation %d: %w", generation, err)
	}
	return ca, nil
}

func open(ctx context.Context, s store.Store, generation int) (*CA, error) {
	key := strconv.Itoa(generation)
	var kept record
	var found bool
	read := func(tx store.Tx) (err error) {
		kept = record{}
		found, err = store.GetJSON(tx, bucket, key, &kept)
		return err
	}
	if err := s.View(ctx, read); err != nil {
		return nil, err
	}
	if !found {
		// It is made before the transaction, which may run several times.
		made, err := newRecord(generation)
		if err != nil {
			return nil, err
		}
		err = s.Update(ctx, func(tx store.Tx) error {
			if err := read(tx); err != nil || found {
				return err
			}
			kept = made
			return store.PutJSON(tx, bucket, key, made)
		})
		if err != nil {
			return nil, err
		}
	}
	return kept.parse(generation)
}

// newRecord makes an authority.
func newRecord(generation int) (record, error) {
	key, err := rsa.GenerateKey(rand.Reader, caBits)
	if err != nil {
		return record{}, err
	}
	id := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	template := &x509.Certificate{
		SerialNumber: newSerial(),
		// Firmware may know the authorities of several sites, and finds one by its
		// name. So the name has a part of the key's digest.
		Subject:   pkix.Name{CommonName: fmt.Sprintf("cloudlets boot %d %x", generation, id[:4])},
		NotBefore: caFrom, NotAfter: caUntil,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage:     x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		SubjectKeyId: id[:20],
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return record{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	return record{certificate, secret}, err
}

// newSerial returns a serial number that no other certificate has: 127 random bits.
func newSerial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] &= 0x7f           // a serial number is positive (RFC 5280, 4.1.2.2)
	return new(big.Int).SetBytes(b[:])
}

func (r record) parse(generation int) (*CA, error) {
	certificate, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		return nil, damaged(err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(r.Key)
	if err != nil {
		return nil, damaged(err)
	}
	key, isRSA := parsed.(*rsa.PrivateKey)
	if !isRSA || !key.PublicKey.Equal(certificate.PublicKey) {
		return nil, damaged(errors.New("its key and its certificate do not belong together"))
	}
	return &CA{Certificate: certificate, Generation: generation, key: key}, nil
}

func damaged(err error) error {
	return fmt.Errorf("what the store has of it is damaged: %w: restore a backup, or set another \"generation\" in \"https\"", err)
}
