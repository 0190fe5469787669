package overlays

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/dirtree"
)

// TestBrokenOverlay: a template whose parent is a file is refused, not written.
func TestBrokenOverlay(t *testing.T) {
	tree, err := dirtree.Open(newDir(t, map[string]string{"etc": "a file"}))
	must(t, err)
	bad := Layer{images.Overlay{{Entry: images.Entry{Path: "/etc/hostname", Type: images.Regular}}}, tree}
	err = bad.Walk(t.Context(), func(images.Entry, io.Reader) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "/etc, which is no directory") {
		t.Errorf("error %v", err)
	}
}

// TestLayerOrder: every directory comes once, before what is in it.
func TestLayerOrder(t *testing.T) {
	tree, err := dirtree.Open(newDir(t, map[string]string{"etc/x": ""}))
	must(t, err)
	l := Layer{images.Overlay{
		{Entry: images.Entry{Path: "/new/deep/b", Type: images.Regular, Size: 1}, Content: []byte("b")},
		{Entry: images.Entry{Path: "/etc/a", Type: images.Regular, Size: 1}, Content: []byte("a")},
	}, tree}
	var got []string
	must(t, l.Walk(t.Context(), func(e images.Entry, _ io.Reader) error { got = append(got, e.Path); return nil }))
	if want := []string{"/", "/etc", "/etc/a", "/new", "/new/deep", "/new/deep/b"}; !slices.Equal(got, want) {
		t.Errorf("the order is %v, want %v", got, want)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := l.Walk(ctx, func(images.Entry, io.Reader) error { return nil }); err == nil {
		t.Error("a walk goes on though nobody waits for it")
	}
}

func newDir(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(file), 0o755))
		must(t, os.WriteFile(file, []byte(text), 0o644))
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
