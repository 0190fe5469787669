//go:build linux

package vdisk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os/exec"
	"testing"

	"cloudlets/images/disk/sparse"
	"cloudlets/testdata/needs"
)

// comparer is a sparse.Writer that compares what it is given with what it
// reads.
type comparer struct {
	r   io.Reader
	pos int64
}

var _ sparse.Writer = (*comparer)(nil)

func (c *comparer) Write(p []byte) (int, error) {
	got := make([]byte, len(p))
	if _, err := io.ReadFull(c.r, got); err != nil {
		return 0, fmt.Errorf("at %d: %w", c.pos, err)
	}
	c.pos += int64(len(p))
	if !bytes.Equal(got, p) {
		return 0, fmt.Errorf("another content before %d", c.pos)
	}
	return len(p), nil
}

func (c *comparer) Skip(n int64) error {
	buf := make([]byte, mib)
	for n > 0 {
		part := buf[:min(n, mib)]
		if _, err := io.ReadFull(c.r, part); err != nil {
			return fmt.Errorf("at %d: %w", c.pos, err)
		}
		if !sparse.IsZero(part) {
			return fmt.Errorf("no zeros at %d", c.pos)
		}
		c.pos += int64(len(part))
		n -= int64(len(part))
	}
	return nil
}

// TestGCE has GNU tar, and so gzip, unpack an image.
func TestGCE(t *testing.T) {
	t.Parallel()
	c := contents()["written zeros and odd borders"]
	c.size = gib
	file := write(t, "gce", c.size, testOptions, c.feed)
	cmd := exec.CommandContext(t.Context(), needs.Tool(t, "tar", "tar"), "-xzOf", file, "disk.raw")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	compared := c.feed(&comparer{r: out})
	rest, _ := io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil || compared != nil || rest > 0 {
		t.Errorf("tar: %v; content: %v; %d bytes more", err, compared, rest)
	}
}

// TestGCEArchive looks at what Compute Engine is particular about: the
// archive's format, the member's name and a size in whole GiB.
func TestGCEArchive(t *testing.T) {
	z, err := gzip.NewReader(bytes.NewReader(writeStream(t, "gce", gib, testOptions, content{size: gib}.feed)))
	if err != nil {
		t.Fatal(err)
	}
	h, err := tar.NewReader(z).Next()
	if err != nil {
		t.Fatal(err)
	}
	if h.Format != tar.FormatGNU || h.Name != "disk.raw" || h.Size != gib || !h.ModTime.Equal(testOptions.Time) {
		t.Errorf("the member is %+v", h)
	}
}
