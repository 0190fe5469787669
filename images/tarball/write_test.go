//go:build linux

package tarball

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/imagetest"
	"cloudlets/testdata/needs"
)

func tarBytes(t *testing.T, s images.Source) []byte {
	t.Helper()
	var b bytes.Buffer
	imagetest.Must(t, Write(t.Context(), &b, s))
	return b.Bytes()
}

func TestTarIsReadAsItWasWritten(t *testing.T) {
	for seed := range uint64(12) {
		want := imagetest.RandomFiles(seed, 60)
		text := tarBytes(t, want)
		got := forgetting(imagetest.All(t, inMemory(t, text)), func(*images.Entry) {})
		if diff := cmp.Diff(imagetest.All(t, want), got); diff != "" {
			t.Fatalf("tree %d: %s", seed, diff)
		}
		if !bytes.Equal(text, tarBytes(t, want)) {
			t.Fatalf("tree %d: the same source gives another tarball", seed)
		}
	}
}

// TestForeignTarsExtractOurs has other tools extract trees with one of
// everything. Each is compared in what it knows.
func TestForeignTarsExtractOurs(t *testing.T) {
	for _, tt := range []struct {
		name, pkg string
		command   []string
		forgets   func(*images.Entry)
	}{
		{"GNU tar", "tar", []string{"tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"}, func(*images.Entry) {}},
		{"GNU tar in the C locale", "tar", []string{"env", "LC_ALL=C", "tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"}, func(*images.Entry) {}},
		{"GNU tar in a UTF-8 locale", "tar", []string{"env", "LC_ALL=C.UTF-8", "tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"}, func(*images.Entry) {}},
		{"bsdtar", "libarchive-tools", []string{"bsdtar", "--numeric-owner", "-xpf"}, bsdtarForgets},
		{"bsdtar in a UTF-8 locale", "libarchive-tools", []string{"env", "LC_ALL=C.UTF-8", "bsdtar", "--numeric-owner", "-xpf"}, bsdtarForgets},
		{"busybox tar", "busybox", []string{"busybox", "tar", "--numeric-owner", "-xpf"}, busyboxForgets},
	} {
		t.Run(tt.name, func(t *testing.T) {
			needs.Root(t)
			if tt.command[0] == "env" {
				needs.Tool(t, tt.command[2], tt.pkg)
			}
			for seed := range uint64(2) {
				tree := imagetest.RandomFiles(100+seed, 60)
				dir := t.TempDir()
				args := slices.Concat(tt.command[1:], []string{imagetest.WriteTemp(t, tarBytes(t, tree)), "-C", dir})
				imagetest.Run(t, tt.pkg, tt.command[0], args...)
				d, err := dirtree.Open(dir)
				imagetest.Must(t, err)
				if diff := cmp.Diff(forgetting(imagetest.All(t, tree), tt.forgets), forgetting(imagetest.All(t, d), tt.forgets)); diff != "" {
					t.Fatalf("tree %d: %s", seed, diff)
				}
			}
		})
	}
}

// bsdtarForgets: version 3.6 adds the fraction of a second before 1970 to the
// wrong side, and leaves the time of the folder that it extracts to.
func bsdtarForgets(e *images.Entry) {
	e.Xattrs = nil
	if e.Path == "/" || e.ModTime.Before(time.Unix(1, 0)) {
		e.ModTime = time.Time{}
	}
}

// busyboxForgets: of symbolic links the owner, of directories the time.
func busyboxForgets(e *images.Entry) {
	e.Xattrs, e.ModTime = nil, e.ModTime.Truncate(time.Second)
	switch e.Type {
	case images.Symlink:
		e.UID, e.GID, e.ModTime = 0, 0, time.Time{}
	case images.Directory:
		e.ModTime = time.Time{}
	}
}

// forgetting is a tree without what a tool forgets, and without what a tar
// may say of a hard link besides.
func forgetting(tree imagetest.Files, forget func(*images.Entry)) imagetest.Files {
	for i, f := range tree {
		if f.Type == images.HardLink {
			tree[i] = images.File{Entry: images.Entry{Path: f.Path, Type: images.HardLink, Link: f.Link}}
		}
		forget(&tree[i].Entry)
	}
	return tree
}

func TestTarHoldsLargeFiles(t *testing.T) {
	const size = 9 << 30 // more than the standard's octal digits can say
	var h headerEncoder
	blocks, err := h.encode(images.Entry{Path: "/large", Type: images.Regular, Size: size})
	imagetest.Must(t, err)
	got, err := tar.NewReader(bytes.NewReader(blocks)).Next()
	if err != nil || got.Size != size {
		t.Errorf("header %+v, %v", got, err)
	}
}

func TestTarOfAnUnsoundSource(t *testing.T) {
	file := func(f images.File) imagetest.Files { f.Path = "/etc/f"; return imagetest.Files{f} }
	for name, tt := range map[string]struct {
		src  images.Source
		want string
	}{
		"short":   {file(images.File{Entry: images.Entry{Type: images.Regular, Size: 5}, Content: []byte("123")}), "write /etc/f to the tarball: it has 3 bytes of 5"},
		"no type": {file(images.File{}), "write /etc/f to the tarball: it has the unknown type 0"},
		"strange": {file(images.File{Entry: images.Entry{Type: 99}}), "write /etc/f to the tarball: it has the unknown type 99"},
		"xattr":   {file(images.File{Entry: images.Entry{Type: images.FIFO, Xattrs: map[string]string{"a\x00b": ""}}}), `impossible name "a\x00b"`},
	} {
		if err := Write(t.Context(), io.Discard, tt.src); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Write(ctx, io.Discard, imagetest.Files{}); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	reader, writer := io.Pipe()
	reader.CloseWithError(fs.ErrClosed)
	if err := Write(t.Context(), writer, imagetest.RandomFiles(1, 5)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("error %v, want the writer's", err)
	}
}

func TestTarOfARealTree(t *testing.T) {
	root := imagetest.OneOfEach(t)
	imagetest.Must(t, os.Mkdir(filepath.Join(root, "copy"), 0o755))
	d, err := dirtree.Open(root)
	imagetest.Must(t, err)
	if diff := cmp.Diff(imagetest.Listing(t, d), imagetest.Listing(t, inMemory(t, tarBytes(t, d)))); diff != "" {
		t.Error(diff)
	}
}
