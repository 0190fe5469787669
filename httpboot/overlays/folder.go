// Package overlays keeps the overlays of running installs: the machines' own files, each
// machine's as a small pack. It does not know how they are rendered.
package overlays

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cloudlets/images"
	"cloudlets/images/pack"
	"cloudlets/provision"
)

// Folder is the name of a folder that has overlays and nothing else, one for each machine.
// It is made with the first of them.
type Folder string

const (
	ending = ".pack"
	// grace is how old an overlay is at least when it is swept away: the
	// claim that made it is recorded a moment later.
	grace = time.Minute
)

// Path is the name of the file that a machine's overlay has, if it is kept.
func (f Folder) Path(mac provision.MAC) string {
	return filepath.Join(string(f), strings.ReplaceAll(string(mac), ":", "-")+ending)
}

// Has says whether the overlay that is kept for a machine has a digest.
func (f Folder) Has(mac provision.MAC, digest string) bool {
	file, err := os.Open(f.Path(mac))
	if err != nil {
		return false
	}
	defer file.Close() // it is only read
	info, err := file.Stat()
	if err != nil {
		return false
	}
	kept, err := pack.Open(file, info.Size())
	return err == nil && kept.Digest() == digest
}

// Keep makes a machine's overlay in place of the one before, as a pack that only this user
// can read: overlays may hold secrets. It is not synced: what a power cut leaves of it is
// recognised by its digest, and made again.
func (f Folder) Keep(ctx context.Context, mac provision.MAC, source images.Source) (info pack.Info, err error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return info, err
	}
	part, err := os.CreateTemp(string(f), ".part-*")
	if err != nil {
		return info, err
	}
	info, err = pack.Write(ctx, part, source, pack.Options{Workers: 1}) // it is small
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Rename(part.Name(), f.Path(mac))
	}
	if err != nil {
		err = errors.Join(err, os.Remove(part.Name()))
	}
	return info, err
}

// Remove removes the overlay of a machine, if it is there.
func (f Folder) Remove(mac provision.MAC) error {
	if err := os.Remove(f.Path(mac)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Sweep removes the overlays of machines that are not installing, since they may hold
// secrets, and what an interrupted [Folder.Keep] left.
func (f Folder) Sweep(installing func(provision.MAC) bool) error {
	entries, err := os.ReadDir(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		mac, bad := provision.ParseMAC(strings.TrimSuffix(entry.Name(), ending))
		if bad == nil && installing(mac) {
			continue
		}
		if info, bad := entry.Info(); bad != nil || time.Since(info.ModTime()) < grace {
			continue
		}
		err = errors.Join(err, os.Remove(filepath.Join(string(f), entry.Name())))
	}
	if err != nil {
		return fmt.Errorf("remove overlays of installs that have ended: %w", err)
	}
	return nil
}
