package uki

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"cloudlets/images/bounded"
)

// The certificate table holds entries whose length is a multiple of 8 bytes,
// as the file's must be before it; this is what begins an entry: its length, a
// revision, and the type PKCS #7.
const (
	certificateAlign = 8
	certificateHead  = 8
	revision2        = 0x0200
	typePKCS7        = 0x0002
)

// Sign signs a UEFI program, which is read once for that. Another signature of
// the same program by the same key has the same bytes.
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
		return File{}, errors.New("it is signed already")
	}
	p = p.clone()
	p.put32(checkSum, 0) // firmware does not look at it
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

// certificateEntry is a certificate table with one signature.
func certificateEntry(signature []byte) []byte {
	entry := make([]byte, roundUp(int64(certificateHead+len(signature)), certificateAlign))
	binary.LittleEndian.PutUint32(entry, uint32(len(entry)))
	binary.LittleEndian.PutUint16(entry[4:], revision2)
	binary.LittleEndian.PutUint16(entry[6:], typePKCS7)
	copy(entry[certificateHead:], signature)
	return entry
}

// rest is a file from a place on.
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

// digest is the sum that a signature is of: of everything but the header's
// check sum and the place of the certificate table.
func (p program) digest(ctx context.Context, body File) ([]byte, error) {
	r, err := body.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	sum := sha256.New()
	for _, part := range []struct{ take, leave int64 }{
		{int64(p.optional + checkSum), 4},
		{certificateDir - checkSum - 4, 8},
	} {
		if _, err := io.CopyN(sum, r, part.take); err != nil {
			return nil, err
		}
		if _, err := io.CopyN(io.Discard, r, part.leave); err != nil {
			return nil, err
		}
	}
	if _, err := io.Copy(sum, bounded.ByContext(ctx, r)); err != nil {
		return nil, err
	}
	return sum.Sum(nil), nil
}

// signature is the PKCS #7 message with a signature of a program's digest.
func (k *Key) signature(digest []byte) ([]byte, error) {
	content, err := indirectData(digest)
	if err != nil {
		return nil, err
	}
	attributes, err := signedAttributes(content)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(attributes)
	// RSASSA-PKCS1-v1_5 takes no random numbers but for blinding.
	signed, err := rsa.SignPKCS1v15(nil, k.private, crypto.SHA256, sum[:])
	if err != nil {
		return nil, err
	}
	return k.message(content, bytes.Clone(attributes), signed)
}
