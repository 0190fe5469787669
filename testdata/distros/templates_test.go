package distros_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/ejs"
	"cloudlets/images/manifest"
	"cloudlets/images/survey"
	"cloudlets/testdata/distros"
)

// TestTemplates makes the usual templates of each distribution, and renders them for
// a copy with a name and a key, and for one with neither: that has what the image
// had.
func TestTemplates(t *testing.T) {
	parts := small(t)
	for _, l := range distros.All() {
		t.Run(l.Name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), l.Name)
			if err := l.Make(parts, dir); err != nil {
				t.Fatal(err)
			}
			before := contents(t, dir)
			got := makeTemplates(t, dir) +
				rendered(t, dir, `{"args": {"sshKeys": ["ssh-ed25519 AAAA new"]}}`, map[string]any{"hostname": "web1.example.org"}, nil) +
				rendered(t, dir, `{}`, nil, before)
			compare(t, filepath.Join("golden", "templates", l.Name+".txt"), got)
		})
	}
}

// contents are the files whose templates a copy without arguments must undo.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"/etc/hostname", "/etc/hosts", "/etc/conf.d/hostname"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			all[name] = string(text)
		}
	}
	return all
}

// makeTemplates writes the usual templates, and returns them with the reasons.
func makeTemplates(t *testing.T, dir string) string {
	t.Helper()
	tree, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := survey.Survey(t.Context(), tree, survey.Options{Templates: true, Owners: true})
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range f.Reasons {
		if strings.HasPrefix(r.What, "templates") {
			fmt.Fprintf(&b, "%s: %s\n", r.What, r.Why)
		}
	}
	for _, one := range f.Templates {
		for _, d := range one.Dirs {
			fmt.Fprintf(&b, "== %s is new, %o %d:%d\n", d.Path, d.Mode, d.UID, d.GID)
		}
		e := one.File.Entry
		fmt.Fprintf(&b, "== template %s, %o %d:%d\n%s", e.Path, e.Mode, e.UID, e.GID, one.File.Content)
		write(t, dir, e.Path, one.File.Content)
	}
	write(t, dir, images.ManifestPath, text)
	return b.String()
}

func write(t *testing.T, dir, name string, text []byte) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// rendered is an image's templates for a copy. A file of before must be as it was.
func rendered(t *testing.T, dir, config string, env map[string]any, before map[string]string) string {
	t.Helper()
	tree, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	im, err := images.New(t.Context(), dir, tree)
	if err != nil {
		t.Fatal(err)
	}
	var c manifest.Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		t.Fatal(err)
	}
	overlay, err := im.Overlay(t.Context(), tree, new(ejs.Renderer), c, env)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range overlay {
		if old, ok := before[f.Path]; ok && old != string(f.Content) {
			t.Errorf("%s of a copy without a name is %q, was %q", f.Path, f.Content, old)
		}
		if slices.Contains(im.Manifest.Templates, f.Path) || strings.HasSuffix(f.Path, "/authorized_keys") {
			fmt.Fprintf(&b, "== with %s, %v: %s\n%s", config, env["hostname"], f.Path, f.Content)
		}
	}
	return b.String()
}

func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
