package signing

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"

	"github.com/sassoftware/relic/v8/lib/pkcs7"
	"github.com/sassoftware/relic/v8/lib/x509tools"
)

// Object identifiers of Authenticode.
var (
	oidIndirectData = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4}
	oidOpusInfo     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 12}
	oidPEImageData  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 15}
)

// indirectData is Authenticode's SpcIndirectDataContent: the content of a
// signature, which holds the digest of the signed program.
type indirectData struct {
	Data struct {
		Type  asn1.ObjectIdentifier
		Value struct { // SpcPeImageData
			Flags asn1.BitString
			File  asn1.RawValue
		}
	}
	Digest struct {
		Algorithm pkix.AlgorithmIdentifier
		Sum       []byte
	}
}

// indirectDataOf returns the content for a signature of the program that has
// this SHA-256 digest.
func indirectDataOf(digest []byte) indirectData {
	var d indirectData
	d.Data.Type = oidPEImageData
	// SpcLink, its choice "file", an empty SpcString, its choice "unicode".
	d.Data.Value.File = asn1.RawValue{FullBytes: []byte{0xa0, 0x04, 0xa2, 0x02, 0x80, 0x00}}
	d.Digest.Algorithm = pkix.AlgorithmIdentifier{Algorithm: x509tools.HashOids[crypto.SHA256], Parameters: asn1.NullRawValue}
	d.Digest.Sum = digest
	return d
}

// signature returns the PKCS #7 message that signs a program's SHA-256 digest.
//
// Authenticode requires the attribute SpcSpOpusInfo, which is empty here. With
// it the library also adds the content's type and digest, which Authenticode
// requires too. There is no signing time: with one, the same inputs would not
// give the same bytes.
func (k *Key) signature(digest []byte) ([]byte, error) {
	builder := pkcs7.NewBuilder(k.private, []*x509.Certificate{k.certificate}, crypto.SHA256)
	if err := builder.SetContent(oidIndirectData, indirectDataOf(digest)); err != nil {
		return nil, err
	}
	if err := builder.AddAuthenticatedAttribute(oidOpusInfo, struct{}{}); err != nil {
		return nil, err
	}
	message, err := builder.Sign()
	if err != nil {
		return nil, err
	}
	return message.Marshal()
}
