//go:build linux

package layers

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/imagetest"
)

func TestSelect(t *testing.T) {
	src := imagetest.Lines("/a/", "/a/gone = for its links", "/a/gone2 = gone", "/cache/", "/cache/kept/", "/cache/kept/file = stays", "/cache/gone = x",
		"/empty-gone/", "/z/", "/z/link => /a/gone", "/z/link2 => /z/link", "/z/gone-link => /a/gone2", "/z/file = f", "/z/more => /z/file")
	got := imagetest.Outline(t, Select(src, func(p string) bool {
		return !strings.Contains(p, "gone") && p != "/cache" && p != "/cache/kept" && p != "/"
	}))
	want := strings.Join([]string{"/", "/a/", "/cache/", "/cache/kept/", "/cache/kept/file = stays", "/z/", "/z/file = f", "/z/more => /z/file", "/z/link = for its links", "/z/link2 => /z/link"}, "\n")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSelectionsAreSound selects at random and checks that what is left is an
// image: with directories, with what links name, with the contents there were.
func TestSelectionsAreSound(t *testing.T) {
	for seed := range uint64(50) {
		tree := imagetest.RandomFiles(seed, 60)
		keep := func(p string) bool {
			h := fnv.New32()
			io.WriteString(h, p)
			return (h.Sum32()+uint32(seed))%3 == 0
		}
		want := imagetest.Contents(t, tree)
		got := imagetest.Contents(t, Select(tree, keep))
		for p, content := range got {
			if content != want[p] {
				t.Errorf("tree %d: %q is %.60q, and was %.60q", seed, p, content, want[p])
			}
		}
		for p := range want {
			if _, ok := got[p]; keep(p) && !ok {
				t.Errorf("tree %d: %q is kept, and not there", seed, p)
			}
		}
		for p, content := range got {
			if !keep(p) && content != "directory" {
				t.Errorf("tree %d: %q is left out, and there", seed, p)
			}
		}
	}
}

func TestSelectOfAChangingSource(t *testing.T) {
	src := &forgetful{Files: imagetest.Lines("/gone = x", "/link => /gone")}
	err := Select(src, func(p string) bool { return p == "/link" }).Walk(t.Context(), func(images.Entry, io.Reader) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "/gone was there on the first pass and not on the second") {
		t.Errorf("error %v", err)
	}
	boom := errors.New("boom")
	src = &forgetful{Files: imagetest.Lines("/gone = x", "/link => /gone"), passes: -5}
	err = Select(src, func(p string) bool { return p == "/link" }).Walk(t.Context(), func(e images.Entry, _ io.Reader) error {
		if e.Path == "/link" {
			return boom
		}
		return nil
	})
	if !errors.Is(err, boom) {
		t.Errorf("error %v", err)
	}
}

// forgetful is a source that is empty after its first pass.
type forgetful struct {
	imagetest.Files
	passes int
}

func (s *forgetful) Walk(ctx context.Context, visit images.VisitFunc) error {
	if s.passes++; s.passes > 1 {
		return nil
	}
	return s.Files.Walk(ctx, visit)
}
