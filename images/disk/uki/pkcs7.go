package uki

import (
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
)

// Object identifiers of PKCS #7 (RFC 2315), PKCS #9 (RFC 2985) and
// Authenticode.
var (
	oidSignedData    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}
	oidContentType   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3}
	oidMessageDigest = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidSHA256        = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidIndirectData  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 4}
	oidPEImageData   = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 2, 1, 15}
)

// algorithm is an AlgorithmIdentifier without parameters.
type algorithm struct {
	Algorithm  asn1.ObjectIdentifier
	Parameters asn1.RawValue
}

func algorithmOf(id asn1.ObjectIdentifier) algorithm { return algorithm{id, asn1.NullRawValue} }

// contentInfo is a ContentInfo of RFC 2315, section 7.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue
}

// signedData is a SignedData of RFC 2315, section 9.1.
type signedData struct {
	Version      int
	Digests      []algorithm `asn1:"set"`
	Content      contentInfo
	Certificates asn1.RawValue
	Signers      []signerInfo `asn1:"set"`
}

// signerInfo is a SignerInfo of RFC 2315, section 9.2.
type signerInfo struct {
	Version    int
	Issuer     issuerAndSerial
	Digest     algorithm
	Attributes asn1.RawValue
	Encryption algorithm
	Signature  []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

// attribute is an Attribute with one value.
type attribute struct {
	Type   asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// indirectData is Authenticode's SpcIndirectDataContent: the digest of a
// program.
func indirectData(digest []byte) ([]byte, error) {
	type peImageData struct {
		Flags asn1.BitString
		File  asn1.RawValue
	}
	type typeAndValue struct {
		Type  asn1.ObjectIdentifier
		Value peImageData
	}
	type digestInfo struct {
		Algorithm algorithm
		Digest    []byte
	}
	// SpcLink, its choice "file", an empty SpcString, its choice "unicode".
	link := asn1.RawValue{FullBytes: []byte{0xa0, 0x04, 0xa2, 0x02, 0x80, 0x00}}
	return asn1.Marshal(struct {
		Data   typeAndValue
		Digest digestInfo
	}{
		typeAndValue{oidPEImageData, peImageData{asn1.BitString{}, link}},
		digestInfo{algorithmOf(oidSHA256), digest},
	})
}

// signedAttributes are what the signature is of: the kind of content, and its
// digest, which leaves out the outermost tag and length. There is no time
// among them: it would make every signature another one.
func signedAttributes(content []byte) ([]byte, error) {
	var inner asn1.RawValue
	if _, err := asn1.Unmarshal(content, &inner); err != nil {
		return nil, err
	}
	kind, err := asn1.Marshal(oidIndirectData)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(inner.Bytes)
	digest, err := asn1.Marshal(sum[:])
	if err != nil {
		return nil, err
	}
	return asn1.MarshalWithParams([]attribute{
		{oidContentType, []asn1.RawValue{{FullBytes: kind}}},
		{oidMessageDigest, []asn1.RawValue{{FullBytes: digest}}},
	}, "set")
}

// message is the whole PKCS #7 message.
func (k *Key) message(content, attributes, signature []byte) ([]byte, error) {
	attributes[0] = asn1.ClassContextSpecific<<6 | 0x20 // [0] IMPLICIT in place of SET
	data, err := asn1.Marshal(signedData{
		Version:      1,
		Digests:      []algorithm{algorithmOf(oidSHA256)},
		Content:      contentInfo{oidIndirectData, explicit(content)},
		Certificates: explicit(k.certificate.Raw), // IMPLICIT, which comes to the same for a set of one
		Signers: []signerInfo{{
			Version:    1,
			Issuer:     issuerAndSerial{asn1.RawValue{FullBytes: k.certificate.RawIssuer}, k.certificate.SerialNumber},
			Digest:     algorithmOf(oidSHA256),
			Attributes: asn1.RawValue{FullBytes: attributes},
			Encryption: algorithmOf(oidRSA),
			Signature:  signature,
		}},
	})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{oidSignedData, explicit(data)})
}

// explicit is a value behind the tag [0].
func explicit(der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: der}
}
