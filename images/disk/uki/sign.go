package uki

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"cloudlets/images/bounded"
)

// The certificate table begins at a multiple of 8 bytes, and the length of each
// entry is a multiple of 8 bytes. An entry begins with its length, a revision,
// and its type, here PKCS #7.
const (
	certificateAlign = 8
	certificateHead  = 8
	revision2        = 0x0200
	typePKCS7        = 0x0002
)

// Sign returns the UEFI program f with a signature. It reads f once to compute
// the digest; the caller reads it again through the result. Signing the same
// program with the same key again gives the same bytes.
func (k *Key) Sign(ctx context.Context, f File) (File, error) {
	signed, err := k.sign(ctx, f)
	if err != nil {
		return File{}, fmt.Errorf("sign UEFI program: %w", err)
	}
	return signed, nil
}

func (k *Key) sign(ctx context.Context, f File) (File, error) {
	head, err := readHead(f)
	if err != nil {
		return File{}, err
	}
	p, err := parse(head)
	if err != nil {
		return File{}, err
	}
	if p.signed() {
		return File{}, errors.New("it is already signed: give the program without its signature")
	}
	p = p.clone()
	p.put32(checkSum, 0) // firmware ignores it
	body := padded(joined([]File{Bytes(p.head), rest(f, int64(len(head)))}), certificateAlign)
	sum, err := p.digest(ctx, body)
	if err != nil {
		return File{}, err
	}
	signature, err := k.signature(sum)
	if err != nil {
		return File{}, err
	}
	entry := certificateEntry(signature)
	p.put32(certificateDir, uint32(body.Size))
	p.put32(certificateDir+4, uint32(len(entry)))
	return joined([]File{body, Bytes(entry)}), nil
}

// certificateEntry returns a certificate table with one signature.
func certificateEntry(signature []byte) []byte {
	entry := make([]byte, roundUp(int64(certificateHead+len(signature)), certificateAlign))
	binary.LittleEndian.PutUint32(entry, uint32(len(entry)))
	binary.LittleEndian.PutUint16(entry[4:], revision2)
	binary.LittleEndian.PutUint16(entry[6:], typePKCS7)
	copy(entry[certificateHead:], signature)
	return entry
}

// rest returns the part of f that begins at offset from.
func rest(f File, from int64) File {
	return File{Size: f.Size - from, Open: func() (io.ReadCloser, error) {
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, r, from); err != nil {
			return nil, errors.Join(err, r.Close())
		}
		return r, nil
	}}
}

// digest returns the SHA-256 digest that a signature signs. It covers the whole
// body except the header's checksum and the entry that locates the certificate
// table.
func (p program) digest(ctx context.Context, body File) ([]byte, error) {
	r, err := body.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	sum := sha256.New()
	for _, part := range []struct{ hashed, skipped int64 }{
		{int64(p.optional + checkSum), 4},
		{certificateDir - checkSum - 4, 8},
	} {
		if _, err := io.CopyN(sum, r, part.hashed); err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, r, part.skipped); err != nil {
			return nil, err
		}
	}
	if _, err := io.Copy(sum, bounded.ByContext(ctx, r)); err != nil {
		return nil, err
	}
	return sum.Sum(nil), nil
}
