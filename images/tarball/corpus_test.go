//go:build linux

package tarball

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/imagetest"
)

// What may come of an archive of the corpus.
const (
	likeBoth  = "read, as GNU tar and Go read it"
	likeGo    = "read, as Go reads it; GNU tar was not asked to write 60 GB"
	noEnd     = "refused: it ends without an end mark, so it may have been cut short; GNU tar and Go read what is there"
	global    = "refused: it sets a time for all files that follow, which GNU tar and Go read"
	cut       = "refused by all three: it is cut short"
	damaged   = "refused, as by Go: a header that is damaged, or means nothing; GNU tar reads some of them, without what it cannot read"
	tooLarge  = "refused, as by Go: a header that is too large; GNU tar reads it"
	otherName = "read, as Go reads it; GNU tar leaves the first part of a long name out"
	otherEnd  = "read, as Go reads it; GNU tar 1.34 misses data after its last file"
	headers   = "read up to its end mark, as Go reads it: its files have sizes and no content, which GNU tar refuses"
)

// corpus is what comes of the archives that Go's own tests of tar have.
var corpus = map[string][]string{
	likeBoth: {
		"file-and-dir", "gnu", "gnu-long-nul", "gnu-nil-sparse-data", "gnu-nil-sparse-hole", "gnu-not-utf8", "gnu-utf8", "hardlink",
		"pax", "pax-nil-sparse-data", "pax-nil-sparse-hole", "pax-records", "star", "trailing-slash", "ustar", "ustar-file-devs", "v7", "writer", "xattrs",
	},
	likeGo:    {"gnu-sparse-big", "pax-sparse-big"},
	otherName: {"invalid-go17"},
	otherEnd:  {"sparse-formats"},
	headers:   {"hdr-only"},
	noEnd:     {"gnu-incremental", "gnu-multi-hdrs", "nil-uid", "pax-multi-hdrs", "pax-path-hdr", "pax-pos-size-file", "ustar-file-reg"},
	global:    {"pax-global-records"},
	cut:       {"writer-big", "writer-big-long"},
	damaged:   {"issue10968", "issue11169", "issue12435", "neg-size", "pax-bad-hdr-file", "pax-bad-mtime-file", "pax-nul-path", "pax-nul-xattrs"},
	tooLarge:  {"gnu-sparse-many-zeros", "pax-bad-hdr-large"},
}

// refusals are words of the errors.
var refusals = map[string]string{noEnd: "without its end mark", global: "for all that follows", cut: "unexpected EOF", damaged: "damaged", tooLarge: "too long"}

// TestGoCorpus reads the archives of Go's own tests. It compares what is read with what GNU
// tar unpacks and what Go's package reads, and compares the table in the documentation.
func TestGoCorpus(t *testing.T) {
	archives := goCorpus(t)
	text, err := os.ReadFile("../../docs/images.md")
	imagetest.Must(t, err)
	for verdict, names := range corpus {
		if row := fmt.Sprintf("| %s | %s |", verdict, strings.Join(names, ", ")); !bytes.Contains(text, []byte(row)) {
			t.Errorf("docs/images.md lacks the row\n%s", row)
		}
		for _, name := range names {
			t.Run(name, func(t *testing.T) {
				data, there := archives[name]
				if !there {
					t.Fatal("Go's tests do not have it any more: take it out of the table")
				}
				delete(archives, name)
				judge(t, data, verdict)
			})
		}
	}
	for name := range archives {
		t.Errorf("%s is not in the table", name)
	}
}

// judge checks that a verdict is right.
func judge(t *testing.T, data []byte, verdict string) {
	t.Helper()
	if words := refusals[verdict]; words != "" {
		if got, err := imagetest.Visited(inMemory(t, data)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("reads %q, %v; want an error that says %q", got, err, words)
		}
		_, err := goReads(data)
		if goRefuses := verdict != noEnd && verdict != global; (err != nil) != goRefuses {
			t.Errorf("Go says %v", err)
		}
		return
	}
	want, err := goReads(data)
	imagetest.Must(t, err)
	got := map[string]string{}
	err = inMemory(t, data).Walk(context.Background(), func(e images.Entry, r io.Reader) error {
		if what, ok := want[e.Path]; ok && e.Type != images.HardLink && strings.HasPrefix(what, "content ") {
			got[e.Path] = contentSum(e.Size, r)
		} else if ok || e.Type != images.Directory { // the folders above are made
			got[e.Path] = fmt.Sprintf("%c", kindOf(e.Type))
		}
		return nil
	})
	imagetest.Must(t, err)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Go reads (-), and this (+): %s", diff)
	}
	if verdict == likeBoth {
		sameAsExtracted(t, data)
	}
}

// goReads is what Go's package reads: the last entry of each name.
func goReads(data []byte) (map[string]string, error) {
	read := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return read, nil
		}
		if err != nil {
			return nil, err
		}
		name := path.Join("/", h.Name)
		switch {
		case h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeGNUSparse:
			var content io.Reader
			if h.Size > 0 {
				content = r
			}
			read[name] = contentSum(h.Size, content)
			if strings.HasPrefix(read[name], "cut ") {
				return nil, io.ErrUnexpectedEOF
			}
		case h.Typeflag != tar.TypeXGlobalHeader:
			read[name] = fmt.Sprintf("%c", h.Typeflag)
		}
	}
}

// contentSum tells a content from others, by its size and its first MiB.
func contentSum(size int64, r io.Reader) string {
	sum := sha256.New()
	if r != nil {
		n, err := io.Copy(sum, io.LimitReader(r, 1<<20))
		if err != nil || n < min(size, 1<<20) {
			return fmt.Sprintf("cut after %d of %d bytes: %v", n, size, err)
		}
	}
	return fmt.Sprintf("content of %d bytes, %x", size, sum.Sum(nil)[:8])
}

// kindOf is a type of file as tar has it.
func kindOf(t images.Type) byte {
	return map[images.Type]byte{
		images.Regular: tar.TypeReg, images.HardLink: tar.TypeLink, images.Symlink: tar.TypeSymlink, images.CharDevice: tar.TypeChar,
		images.BlockDevice: tar.TypeBlock, images.Directory: tar.TypeDir, images.FIFO: tar.TypeFifo,
	}[t]
}

// goCorpus is what the Go distribution has for the tests of its package, by names without
// endings.
func goCorpus(t *testing.T) map[string][]byte {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	imagetest.Must(t, err)
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), "src/archive/tar/testdata/*.tar*"))
	imagetest.Must(t, err)
	if len(files) == 0 {
		t.Fatal("the Go distribution has no src/archive/tar/testdata: install the one of go.dev, or Debian's package golang-src")
	}
	archives := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		imagetest.Must(t, err)
		name, endings, _ := strings.Cut(filepath.Base(file), ".tar")
		steps := strings.Split(endings, ".")
		slices.Reverse(steps)
		for _, step := range steps {
			r := io.Reader(bytes.NewReader(data))
			switch step {
			case "base64":
				r = base64.NewDecoder(base64.StdEncoding, r)
			case "bz2":
				r = bzip2.NewReader(r)
			}
			data, err = io.ReadAll(r)
			imagetest.Must(t, err)
		}
		archives[name] = data
	}
	return archives
}
