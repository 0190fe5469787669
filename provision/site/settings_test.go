package site_test

import (
	"path/filepath"
	"testing"

	"cloudlets/provision/site"
)

// TestFoldersAreRelativeToTheSite, wherever the server was started.
func TestFoldersAreRelativeToTheSite(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "cloudlets.json", `{"state": "../state", "assets": "/srv/assets"}`)
	s, err := site.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := s.Settings()
	if want := filepath.Join(filepath.Dir(dir), "state"); got.State != want || got.Assets != "/srv/assets" {
		t.Errorf("state in %s and assets in %s, not in %s and /srv/assets (%v)", got.State, got.Assets, want, s.Problems())
	}
}
