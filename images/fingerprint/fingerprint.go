// Package fingerprint tells cheaply whether a file or a directory has changed:
// by what the filesystem notes of each file, without reading any content.
package fingerprint

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"cloudlets/images"
)

// Path identifies what is at path, a directory or a file, without
// opening it as an image, as [images.Image.Fingerprint] does.
func Path(ctx context.Context, path string) (string, error) {
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
		if images.IsBookkeeping(inner) {
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
