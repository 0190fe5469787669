package preinit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func check(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestParams(t *testing.T) {
	for line, want := range map[string]Params{
		"root=UUID=1 rw quiet\n": {Init: "/sbin/init"},
		"init=/.cloudlet/preinit cloudlets.grow cloudlets.persistent": {Grow: true, Persistent: true, Init: "/sbin/init"},
		"cloudlets.init=/lib/systemd/systemd cloudlets.grow":          {Grow: true, Init: "/lib/systemd/systemd"},
		"cloudlets.growx xcloudlets.persistent cloudlets.grow=1":      {Init: "/sbin/init"},
	} {
		if got, err := ParseParams(line); err != nil || got != want {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	if _, err := ParseParams("cloudlets.init=sh"); err == nil || !strings.Contains(err.Error(), `cloudlets.init="sh": it is a path from the root`) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseParams(f *testing.F) {
	f.Add("cloudlets.grow cloudlets.init=/sbin/init")
	f.Fuzz(func(t *testing.T, line string) {
		if p, err := ParseParams(line); err == nil && !strings.HasPrefix(p.Init, "/") {
			t.Errorf("%q: %+v", line, p)
		}
	})
}

func TestOutermost(t *testing.T) {
	got := outermost([]string{"/srv/www", "/home", "/srv", "/srv-2", "/home", "/var/lib/x/y"})
	if want := []string{"/home", "/srv", "/srv-2", "/var/lib/x/y"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// newKeeper has a root with files, and an empty directory for what is kept.
// What it mounts goes with the test.
func newKeeper(t *testing.T) (k keeper, said *[]string) {
	t.Helper()
	top := t.TempDir()
	said = new([]string)
	k = keeper{root: filepath.Join(top, "root"), dir: filepath.Join(top, "kept"), say: func(format string, args ...any) {
		*said = append(*said, fmt.Sprintf(format, args...))
	}}
	check(t, os.Mkdir(k.dir, 0o755))
	for _, f := range []struct {
		name, content string
		mode          os.FileMode
	}{
		{"srv/www/index.html", "the image's", 0o640}, {"srv/www/.git/HEAD", "ref", 0o600}, {"etc/machine-id", "0815", 0o444},
		{"data/home/ada/.profile", "profile", 0o600}, {"other", "other", 0o644},
	} {
		file := filepath.Join(k.root, f.name)
		check(t, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(f.content), f.mode))
	}
	check(t,
		os.Link(filepath.Join(k.root, "srv/www/index.html"), filepath.Join(k.root, "srv/www/again.html")),
		os.Symlink("/data/home", filepath.Join(k.root, "home")),
		os.Chown(filepath.Join(k.root, "srv/www"), 33, 33),
		unix.Chmod(filepath.Join(k.root, "srv/www"), 0o2750),
		unix.Setxattr(filepath.Join(k.root, "srv/www/index.html"), "user.mime", []byte("text/html"), 0))
	return k, said
}

// mounted mounts paths until the test's end, or until its caller ends it.
func (k keeper) mounted(t *testing.T, paths ...string) (unmount func()) {
	t.Helper()
	check(t, k.mountAll(t.Context(), paths))
	var places []string
	for _, p := range paths {
		place, err := k.place(p)
		check(t, err)
		places = append(places, filepath.Join(k.root, place))
	}
	done := false
	unmount = func() {
		for _, place := range places {
			if !done {
				check(t, unix.Unmount(place, 0))
			}
		}
		done = true
	}
	t.Cleanup(unmount)
	return unmount
}

func (k keeper) read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(k.root, name))
	check(t, err)
	return string(b)
}

// TestKept: directories and files, by links too, begin with what the image
// has, and what is changed there outlives the image.
func TestKept(t *testing.T) {
	k, said := newKeeper(t)
	paths := []string{"/etc/machine-id", "/home", "/new/place", "/srv/www"}
	unmount := k.mounted(t, paths...)
	if len(*said) != 1 || !strings.Contains((*said)[0], "/etc/machine-id, /home, /new/place, /srv/www") {
		t.Errorf("said %q", *said)
	}
	for name, want := range map[string]string{
		"srv/www/index.html": "the image's", "srv/www/again.html": "the image's", "srv/www/.git/HEAD": "ref",
		"etc/machine-id": "0815", "home/ada/.profile": "profile", "other": "other",
	} {
		if name == "home/ada/.profile" { // the link is absolute in the root
			name = "data/home/ada/.profile"
		}
		if got := k.read(t, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	var st unix.Stat_t
	check(t, unix.Stat(filepath.Join(k.root, "srv/www"), &st))
	if st.Uid != 33 || st.Mode&0o7777 != 0o2750 {
		t.Errorf("/srv/www belongs to %d and has mode %o", st.Uid, st.Mode&0o7777)
	}
	check(t, unix.Stat(filepath.Join(k.root, "srv/www/again.html"), &st))
	value := make([]byte, 32)
	n, err := unix.Getxattr(filepath.Join(k.root, "srv/www/again.html"), "user.mime", value)
	if st.Nlink != 2 || err != nil || string(value[:n]) != "text/html" {
		t.Errorf("a file with two names and an attribute has %d and %q (%v)", st.Nlink, value[:n], err)
	}
	for _, name := range []string{"srv/www/index.html", "etc/machine-id", "new/place/file", "data/home/ada/.profile"} {
		check(t, os.WriteFile(filepath.Join(k.root, name), []byte("changed"), 0o644))
	}
	unmount()
	if got := k.read(t, "srv/www/index.html"); got != "the image's" {
		t.Errorf("the image itself was changed: %q", got)
	}

	// The next start, of an image that keeps one thing more.
	*said = nil
	check(t, os.Mkdir(filepath.Join(k.root, "more"), 0o700))
	k.mounted(t, append(paths, "/more")...)
	if len(*said) != 1 || !strings.Contains((*said)[0], "has at /more to") {
		t.Errorf("said %q", *said)
	}
	for _, name := range []string{"srv/www/index.html", "etc/machine-id", "new/place/file", "data/home/ada/.profile"} {
		if got := k.read(t, name); got != "changed" {
			t.Errorf("%s is %q", name, got)
		}
	}
}

// TestBrokenOff: what a start left behind that was broken off is no content.
func TestBrokenOff(t *testing.T) {
	k, _ := newKeeper(t)
	check(t, os.MkdirAll(filepath.Join(k.dir, incoming, "srv/www"), 0o755), os.WriteFile(filepath.Join(k.dir, incoming, "srv/www/index.html"), []byte("ha"), 0o644))
	k.mounted(t, "/srv/www")
	if got := k.read(t, "srv/www/index.html"); got != "the image's" {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(filepath.Join(k.dir, incoming)); err == nil {
		t.Error("it is still there")
	}
}

// TestKindChanges: what was a directory and is a file in a newer image is told.
func TestKindChanges(t *testing.T) {
	k, _ := newKeeper(t)
	check(t, os.MkdirAll(k.kept("/etc/machine-id"), 0o755))
	err := k.mountAll(t.Context(), []string{"/etc/machine-id"})
	if err == nil || !strings.Contains(err.Error(), "mount what is persistent at /etc/machine-id (a file cannot take") {
		t.Errorf("got %v", err)
	}
}
