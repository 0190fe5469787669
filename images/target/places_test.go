//go:build linux

package target

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/manifest"
)

// placesOf finds places in a tree with a few links.
func placesOf(t *testing.T, paths ...string) ([]Place, error) {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "var/mail"), 0o755), os.MkdirAll(filepath.Join(dir, "var/spool"), 0o755),
		os.MkdirAll(filepath.Join(dir, "data/home/ada"), 0o755), os.MkdirAll(filepath.Join(dir, "etc"), 0o755), os.MkdirAll(filepath.Join(dir, "dev"), 0o755),
		os.WriteFile(filepath.Join(dir, "etc/machine-id"), []byte("id"), 0o444),
		os.Symlink("../mail", filepath.Join(dir, "var/spool/mail")), os.Symlink("/data/home", filepath.Join(dir, "home")),
		os.Symlink("/nowhere", filepath.Join(dir, "srv")), os.Symlink("loop", filepath.Join(dir, "loop")))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return PersistentPlaces((&manifest.Manifest{Persistent: paths}), tree)
}

func TestPersistentPlaces(t *testing.T) {
	for _, c := range []struct {
		paths []string
		want  string // path=place
	}{
		{nil, ""},
		{[]string{"/etc/machine-id", "/home"}, "/etc/machine-id=/etc/machine-id /home=/data/home"},
		{[]string{"/var/spool/mail", "/var/mail"}, "/var/mail=/var/mail"},
		{[]string{"/data", "/home"}, "/data=/data"},
		{[]string{"/home", "/data/home/ada"}, "/home=/data/home"},
		{[]string{"/var", "/var-2", "/var/mail/x"}, "/var=/var /var-2=/var-2"},
		{[]string{"/home/new/deep"}, "/home/new/deep=/data/home/new/deep"},
	} {
		places, err := placesOf(t, c.paths...)
		var got []string
		for _, p := range places {
			got = append(got, p.Path+"="+p.At)
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q, %v", c.paths, got, err)
		}
	}
	places, err := placesOf(t, "/home/new/deep", "/etc/machine-id")
	if err != nil || places[0].Type != images.Regular || len(places[0].Missing) != 0 || places[1].Type != images.Directory || strings.Join(places[1].Missing, " ") != "/data/home/new /data/home/new/deep" {
		t.Errorf("%+v, %v", places, err)
	}
	for p, says := range map[string]string{
		"/": "the whole image", "/srv": "a link to /nowhere, which is not there", "/srv/x": "which is not there", "/loop": "too many symbolic links",
		"/etc/machine-id/x": "/etc/machine-id is no directory", "/dev": "belongs to the running system", "/dev/x": "belongs to the running system",
		"/.cloudlet/persistent": "or to the format", "/proc": "belongs to the running system",
	} {
		if _, err := placesOf(t, p); err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "persistent path "+p) {
			t.Errorf("%s: got %v, want %q", p, err, says)
		}
	}
}
