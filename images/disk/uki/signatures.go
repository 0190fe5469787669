package uki

import (
	"context"
	"encoding/hex"
	"fmt"
)

// Signer signs UEFI programs.
type Signer interface {
	// Sign returns a program with a signature, see [Key.Sign].
	Sign(ctx context.Context, f File) (File, error)
}

// Signatures are certificate tables (Microsoft's "PE Format"), each by the SHA-256
// digest, in hexadecimal, of the program that it signs. Whoever has a program and
// its signature can make the signed program without the key. So the key stays
// where it is, and only signatures travel.
type Signatures map[string][]byte

var (
	_ Signer = (*Key)(nil)
	_ Signer = Signatures(nil)
	_ Signer = recorder{}
)

// Sign adds the signature of a program to it. It reads f once to compute the
// digest, like [Key.Sign], and the result has the same bytes.
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

// recorder signs with a key, and keeps the signatures.
type recorder struct {
	key  *Key
	kept Signatures
}

// Recording returns a signer that signs with the key, and puts each signature that
// it makes into kept.
func (k *Key) Recording(kept Signatures) Signer { return recorder{k, kept} }

// Sign implements [Signer].
func (r recorder) Sign(ctx context.Context, f File) (File, error) {
	u, err := prepare(ctx, f)
	if err != nil {
		return File{}, fmt.Errorf("sign UEFI program: %w", err)
	}
	message, err := r.key.signature(u.digest)
	if err != nil {
		return File{}, fmt.Errorf("sign UEFI program: %w", err)
	}
	entry := certificateEntry(message)
	r.kept[hex.EncodeToString(u.digest)] = entry
	return u.with(entry), nil
}
