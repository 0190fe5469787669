package site_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/provision/site"
)

// TestReadFile: what machines are given is in the site, also if links lead elsewhere.
func TestReadFile(t *testing.T) {
	s := open(t, folder(t, map[string]string{"cloud-init/web.yaml": "#cloud-config\n", "big": strings.Repeat("x", site.MaxText+1)}))
	if text, err := s.ReadFile("cloud-init/web.yaml"); err != nil || string(text) != "#cloud-config\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(s.Dir(), "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "cloud-init", "none", "big", "../x", "/etc/passwd"} {
		if text, err := s.ReadFile(name); err == nil {
			t.Errorf("%s: %.20q", name, text)
		}
	}
}
