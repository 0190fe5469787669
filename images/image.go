package images

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Image is a view of a root filesystem and its manifest. The files behind it
// may change; [Image.Fingerprint] tells.
type Image struct {
	// Name is what its folder or file is called, without ".tar" and what follows.
	Name string
	// Path is where it was opened.
	Path     string
	Manifest *Manifest
	// Source is a [*DirSource] or a [*TarSource].
	Source Source
}

// ErrNotCloudlet says that there is no manifest in what was opened.
var ErrNotCloudlet = errors.New("not a cloudlet")

// Open opens a directory or a tarball as an image and reads its manifest.
// Of a tarball it reads as much as it takes to find it.
func Open(ctx context.Context, path string) (*Image, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	im := &Image{Name: imageName(path), Path: path}
	var text []byte
	switch {
	case info.IsDir():
		var dir *DirSource
		if dir, err = NewDirSource(path); err != nil {
			return nil, err
		}
		im.Source = dir
		text, err = ReadFile(dir, ManifestPath, maxDocument)
	case info.Mode().IsRegular():
		im.Source = NewTarSource(path)
		text, err = tarFile(ctx, im.Source.(*TarSource), ManifestPath)
	default:
		return nil, fmt.Errorf("open image %s: it is neither a directory nor a tarball", path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open image %s: %w: no %s in it; write one there, \"{}\" is enough to begin with", path, ErrNotCloudlet, ManifestPath)
	}
	if err != nil {
		return nil, fmt.Errorf("open image %s: %w", path, err)
	}
	im.Manifest, err = ParseManifest(im.Name, text)
	return im, err
}

// imageName is the last part of a path without the endings of a tarball.
func imageName(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	base := filepath.Base(path)
	if i := strings.LastIndex(base, ".tar"); i > 0 && (i+4 == len(base) || base[i+4] == '.') {
		return base[:i]
	}
	for _, suffix := range []string{".tgz", ".txz", ".tzst", ".tbz2", ".cloudlet"} {
		if name := strings.TrimSuffix(base, suffix); name != "" && name != base {
			return name
		}
	}
	return base
}

// tarFile reads one regular file of a tarball.
func tarFile(ctx context.Context, s *TarSource, p string) ([]byte, error) {
	var text []byte
	errFound := errors.New("found")
	find := func(e Entry, content io.Reader) error {
		if e.Path != p || content == nil {
			return nil
		}
		if e.Size > maxDocument {
			return fmt.Errorf("read %s: it is longer than the %d bytes allowed", p, maxDocument)
		}
		var err error
		if text, err = io.ReadAll(content); err != nil {
			return fmt.Errorf("read %s: %w", p, err)
		}
		return errFound
	}
	err := s.scan(ctx, &tarWalk{visit: find, seen: map[string]Type{}})
	switch {
	case errors.Is(err, errFound):
		return text, nil
	case err == nil:
		return nil, fs.ErrNotExist
	}
	return nil, err
}

// Fingerprint identifies the image's content cheaply, for the keys of
// caches: of a tarball by its file's size, time and inode; of a directory by
// those of all that is in it. It is 64 hexadecimal digits.
func (im *Image) Fingerprint(ctx context.Context) (string, error) {
	sum := sha256.New()
	root, err := filepath.EvalSymlinks(im.Path)
	if err != nil {
		return "", fmt.Errorf("fingerprint image %s: %w", im.Name, err)
	}
	err = filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(p, &st); err != nil {
			return &fs.PathError{Op: "lstat", Path: p, Err: err}
		}
		_, err = sum.Write(identity(strings.TrimPrefix(p, root), &st))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("fingerprint image %s: %w", im.Name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// identity is what tells a file from what it was before. The time of its
// last change covers owner, mode, links and extended attributes.
func identity(p string, st *unix.Stat_t) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(p)))
	b = slices.Concat(b, []byte(p))
	for _, v := range []uint64{
		uint64(st.Dev), st.Ino, uint64(st.Mode), uint64(st.Size), uint64(st.Rdev),
		uint64(st.Mtim.Nano()), uint64(st.Ctim.Nano()),
	} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}
