package uki

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
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

// unsigned is a program that is ready to be signed.
type unsigned struct {
	program
	body   File // all that the signature covers
	digest []byte
}

// prepare computes the digest of a program that has no signature yet.
func prepare(ctx context.Context, f File) (unsigned, error) {
	head, err := readHead(f)
	if err != nil {
		return unsigned{}, err
	}
	p, err := parse(head)
	if err != nil {
		return unsigned{}, err
	}
	if p.signed() {
		return unsigned{}, errors.New("it is already signed: give the program without its signature")
	}
	p = p.clone()
	p.put32(checkSum, 0) // firmware ignores it
	u := unsigned{program: p, body: padded(joined([]File{Bytes(p.head), rest(f, int64(len(head)))}), certificateAlign)}
	u.digest, err = p.hash(ctx, u.body)
	return u, err
}

// with returns the program with a certificate table.
func (u unsigned) with(entry []byte) File {
	u.put32(certificateDir, uint32(u.body.Size))
	u.put32(certificateDir+4, uint32(len(entry)))
	return joined([]File{u.body, Bytes(entry)})
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

// hash returns the SHA-256 digest that a signature signs. It covers the whole
// body except the header's checksum and the entry that locates the certificate
// table.
func (p program) hash(ctx context.Context, body File) ([]byte, error) {
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
