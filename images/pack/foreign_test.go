//go:build linux

package pack

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"

	"cloudlets/images"
)

func TestZstdAndTarReadAPack(t *testing.T) {
	needRoot(t)
	src := plainTree()
	data, _ := mustWrite(t, src, Options{})
	disk := freshDir(t)
	name := filepath.Join(subDir(t, disk), "pack")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := subDir(t, disk)
	toolCmd(t, "zstd", "zstd", "--version")
	toolCmd(t, "tar", "tar", "--version")
	tool(t, "bash", "bash", "-c",
		`set -e -o pipefail; zstd -dc "$0" | tar -x --numeric-owner --same-owner -p --xattrs --xattrs-include='*' -C "$1"`, name, dir)
	sameTree(t, src, dir)
}

func TestEstargzReadsAPack(t *testing.T) {
	src := plainTree()
	data, info := mustWrite(t, src, Options{})
	r, err := estargz.Open(io.NewSectionReader(bytes.NewReader(data), 0, info.Size),
		estargz.WithDecompressors(&zstdchunked.Decompressor{}))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.TOCDigest().String(); got != info.Digest {
		t.Errorf("its digest is %s, ours %s", got, info.Digest)
	}
	for _, f := range src {
		e, ok := r.Lookup(f.Path)
		if !ok {
			t.Errorf("%s is not found", f.Path)
			continue
		}
		if f.Type == images.HardLink {
			continue
		}
		if e.Type != rowTypes[f.Type] || uint32(e.Mode) != f.Mode || e.UID != int(f.UID) || e.GID != int(f.GID) ||
			!e.ModTime().Equal(f.ModTime) || e.DevMajor != int(f.Major) || e.DevMinor != int(f.Minor) || len(e.Xattrs) != len(f.Xattrs) {
			t.Errorf("%s is read as %+v", f.Path, e)
		}
		if f.Type != images.Regular || f.Size == 0 {
			continue
		}
		file, err := r.OpenFile(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(file); err != nil || !bytes.Equal(got, f.content) {
			t.Errorf("%s has other content there (%d bytes, %v)", f.Path, len(got), err)
		}
	}
}
