//go:build long

package iso_test

import (
	"bytes"
	"crypto/sha256"
	"os"
	"os/exec"
	"testing"

	"cloudlets/images/disk/sparse"
	"cloudlets/testdata/needs"
)

// TestLongLargeFile: what a reader makes of a file beyond 4 GiB has the same sum as what
// was written.
func TestLongLargeFile(t *testing.T) {
	large := largeFile()
	m, file := made(t, options(), large, esp())
	want := sha256.New()
	out := sparse.To(want)
	check(t, large.Write(t.Context(), out), out.Skip(2)) // what was not written is zero
	read := exec.CommandContext(t.Context(), needs.Tool(t, "bsdtar", "libarchive-tools"), "-xOf", file, "ROOT.IMG")
	got := sha256.New()
	read.Stdout, read.Stderr = got, os.Stderr
	if err := read.Run(); err != nil {
		t.Fatalf("bsdtar (Debian package libarchive-tools): %v", err)
	}
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Errorf("bsdtar reads another file of the image of %d bytes", m.Size())
	}
}
