package registry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cloudlets/images/bounded"
	"cloudlets/images/tempfile"
)

// maxCache bounds the cache, in bytes. What was used last stays.
const maxCache = 8 << 30

// partEnding is the end of the name of a layer that was not fetched to its end.
const partEnding = ".part"

// cache is a folder with layers, each named by its digest. A layer counts only
// if it has the digest, so nothing bad comes of a cache that is damaged. If
// the folder is "", layers are in files without names.
type cache struct{ dir string }

// openCache returns the cache in a folder, or where the user's caches are. A
// user without such a folder has no cache.
func openCache(dir string) cache {
	if dir == "" {
		caches, err := os.UserCacheDir()
		if err != nil {
			return cache{}
		}
		dir = filepath.Join(caches, "cloudlets", "layers")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return cache{}
	}
	return cache{dir}
}

func (c cache) path(d v1.Descriptor) string {
	return filepath.Join(c.dir, d.Digest.Algorithm+"-"+d.Digest.Hex)
}

// open opens a layer that is there already. The file is nil if it is not.
func (c cache) open(ctx context.Context, d v1.Descriptor) (*os.File, error) {
	if c.dir == "" {
		return nil, nil
	}
	info, err := os.Lstat(c.path(d))
	if err != nil || !info.Mode().IsRegular() || info.Size() != d.Size {
		return nil, nil
	}
	f, err := os.Open(c.path(d))
	if err != nil {
		return nil, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, bounded.ByContext(ctx, f)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if hex.EncodeToString(sum.Sum(nil)) != d.Digest.Hex {
		return nil, errors.Join(f.Close(), os.Remove(c.path(d)))
	}
	now := time.Now()
	_ = os.Chtimes(c.path(d), now, now) // only for the order of sweep
	return f, nil
}

// part opens the file to which a layer is fetched. It has what an earlier
// download brought.
func (c cache) part(d v1.Descriptor) (*os.File, error) {
	if c.dir == "" {
		return tempfile.Create("", "cloudlets-*.layer")
	}
	f, err := os.OpenFile(c.path(d)+partEnding, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep it: %w", err)
	}
	return f, nil
}

// keep gives a layer that is complete its name.
func (c cache) keep(d v1.Descriptor) error {
	if c.dir == "" {
		return nil
	}
	err := os.Rename(c.path(d)+partEnding, c.path(d))
	if errors.Is(err, fs.ErrNotExist) { // another program did it
		return nil
	}
	return err
}

// drop removes a layer that is not what it should be.
func (c cache) drop(d v1.Descriptor) {
	if c.dir != "" {
		_ = os.Remove(c.path(d) + partEnding) // the digest tells the next time
	}
}

// sweep removes what was not used for the longest time until the cache has at
// most [maxCache] bytes. A layer that is open stays readable.
func (c cache) sweep() error { return c.sweepTo(maxCache) }

func (c cache) sweepTo(max int64) error {
	if c.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("tidy the cache of layers: %w", err)
	}
	var all []fs.FileInfo
	var total int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			all, total = append(all, info), total+info.Size()
		}
	}
	slices.SortFunc(all, func(a, b fs.FileInfo) int {
		return cmp.Or(a.ModTime().Compare(b.ModTime()), cmp.Compare(a.Name(), b.Name()))
	})
	for _, info := range all {
		if total <= max {
			return nil
		}
		if err := os.Remove(filepath.Join(c.dir, info.Name())); err == nil || errors.Is(err, fs.ErrNotExist) {
			total -= info.Size()
		}
	}
	return nil
}
