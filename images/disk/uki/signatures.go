package uki

import (
	"context"
	"encoding/hex"
	"fmt"
)

// Signer signs UEFI programs.
type Signer interface {
	// Sign returns a program with a signature. It reads f once to compute the digest;
	// the caller reads it again through the result.
	Sign(ctx context.Context, f File) (File, error)
}

// Owner has the private key of the machines' owner, which only the package signing
// knows.
type Owner interface {
	Signer
	// Recording returns a signer that signs with the key, and puts each signature that
	// it makes into kept.
	Recording(kept Signatures) Signer
}

// Signatures are certificate tables (Microsoft's "PE Format"), each by the SHA-256
// digest, in hexadecimal, of the program that it signs. Whoever has a program and
// its signature can make the signed program without the key. So the key stays
// where it is, and only signatures travel.
type Signatures map[string][]byte

var (
	_ Signer = Signatures(nil)
	_ Signer = Recorder{}
)

// Sign adds the signature of a program to it. It reads f once to compute the
// digest, and the result has the bytes that the key's owner got.
func (s Signatures) Sign(ctx context.Context, f File) (File, error) {
	u, err := prepare(ctx, f)
	if err != nil {
		return File{}, fmt.Errorf("add a signature to a UEFI program: %w", err)
	}
	name := hex.EncodeToString(u.digest)
	entry, ok := s[name]
	if !ok {
		return File{}, fmt.Errorf("add a signature to a UEFI program: none of the %d signatures is for its digest %s: it was signed with other content, so make the signatures anew", len(s), name)
	}
	return u.with(entry), nil
}

// Recorder signs, and keeps the signatures.
type Recorder struct {
	// Message returns the PKCS #7 message that signs the program with a SHA-256 digest.
	Message func(digest []byte) ([]byte, error)
	Kept    Signatures
}

// Sign implements [Signer].
func (r Recorder) Sign(ctx context.Context, f File) (File, error) {
	u, err := prepare(ctx, f)
	if err != nil {
		return File{}, fmt.Errorf("sign UEFI program: %w", err)
	}
	message, err := r.Message(u.digest)
	if err != nil {
		return File{}, fmt.Errorf("sign UEFI program: %w", err)
	}
	entry := certificateEntry(message)
	r.Kept[hex.EncodeToString(u.digest)] = entry
	return u.with(entry), nil
}
