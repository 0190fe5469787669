package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
)

// fingerprinter is what a [Source] may be besides: it identifies its content
// cheaply, for the keys of caches, by 64 hexadecimal digits.
type fingerprinter interface {
	Fingerprint(ctx context.Context) (string, error)
}

var (
	_ fingerprinter = (*DirSource)(nil)
	_ fingerprinter = (*TarSource)(nil)
)

// Fingerprint identifies what is at path, a directory or a file, without
// opening it as an image, as [Image.Fingerprint] does.
func Fingerprint(ctx context.Context, path string) (string, error) {
	sum := sha256.New()
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("fingerprint image: %w", err)
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		inner := filepath.ToSlash(strings.TrimPrefix(p, root))
		if IsBookkeeping(inner) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		id, err := identityAt(inner, p)
		if err == nil {
			_, err = sum.Write(id)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("fingerprint image %s: %w", path, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// Fingerprint identifies the directory's content by size, times and inode of
// all that is in it.
func (d *DirSource) Fingerprint(ctx context.Context) (string, error) { return Fingerprint(ctx, d.root) }

// Fingerprint identifies the tarball by size, times and inode of its file; one
// that comes from a stream by what is in it.
func (s *TarSource) Fingerprint(ctx context.Context) (string, error) {
	if s.path != "" {
		return Fingerprint(ctx, s.path)
	}
	if _, err := s.load(ctx, true); err != nil {
		return "", err
	}
	in, err := s.again(ctx)
	if err != nil {
		return "", err
	}
	defer in.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, &contextReader{ctx: ctx, r: in.buf}); err != nil {
		return "", fmt.Errorf("fingerprint image %s: %w", s.name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
