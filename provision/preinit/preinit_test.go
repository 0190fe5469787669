package preinit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/dirtree"
	"cloudlets/images/disk"
	"cloudlets/images/disk/slots"
	"cloudlets/images/manifest"
	"cloudlets/images/target"
	"cloudlets/provision/process1"
	"cloudlets/provision/trial"
	"cloudlets/testdata/needs"
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
		"init=/.cloudlet/preinit cloudlets.grow cloudlets.persistent":                           {Grow: true, Persistent: true, Init: "/sbin/init"},
		"cloudlets.init=/lib/systemd/systemd cloudlets.grow":                                    {Grow: true, Init: "/lib/systemd/systemd"},
		"cloudlets.growx xcloudlets.persistent cloudlets.grow=1":                                {Init: "/sbin/init"},
		"cloudlets.grow -- cloudlets.persistent":                                                {Grow: true, Init: "/sbin/init"},
		"cloudlets.trial cloudlets.trial.patience=30 cloudlets.trial.settle=5 cloudlets.trialx": {Trial: true, Patience: 30 * time.Second, Settle: 5 * time.Second, Init: "/sbin/init"},
		"cloudlets.trial.runs=init":                                                             {Init: "/sbin/init"},
		"cloudlets.trial.patience=soon -- cloudlets.trial":                                      {Init: "/sbin/init"},
	} {
		if want.Patience == 0 {
			want.Patience, want.Settle = trial.Patience, trial.Settle
		}
		if !strings.Contains(line, "cloudlets.trial.runs=init") {
			want.Running = trial.RunningFile
		}
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

// TestFailedStartIsNoBegin: what watches over a trial takes the end of its pipe for the begin
// of the init. A start that failed keeps the pipe open.
func TestFailedStartIsNoBegin(t *testing.T) {
	t.Setenv(process1.WordsVariable, "cloudlets.trial cloudlets.init=/not/there")
	begun, end, err := os.Pipe()
	check(t, err)
	defer begun.Close()
	var said strings.Builder
	s := starter{root: "/", console: &said, watch: func(Params) (*os.File, error) { return end, nil }}
	at, err := run(t.Context(), s, nil, func() {})
	if !errors.Is(err, os.ErrNotExist) || !at.known || !at.Trial {
		t.Errorf("got %+v, %v", at, err)
	}
	poll := []unix.PollFd{{Fd: int32(begun.Fd()), Events: unix.POLLIN}}
	if n, err := unix.Poll(poll, 0); n != 0 || err != nil {
		t.Errorf("the pipe has ended: %+v (%v)", poll, err)
	}
	check(t, at.hold.Close())
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

// placesOf are the places of some paths in the keeper's root.
func (k keeper) placesOf(t *testing.T, paths ...string) []target.Place {
	t.Helper()
	src, err := dirtree.Open(k.root)
	check(t, err)
	places, err := target.PersistentPlaces((&manifest.Manifest{Persistent: paths}), src)
	check(t, err)
	return places
}

// mounted mounts paths until the test's end, or until its caller ends it.
func (k keeper) mounted(t *testing.T, paths ...string) (unmount func()) {
	t.Helper()
	places := k.placesOf(t, paths...)
	check(t, k.mountAll(t.Context(), places))
	unmount = sync.OnceFunc(func() {
		for _, p := range places {
			check(t, unix.Unmount(filepath.Join(k.root, p.At), 0))
		}
	})
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
	needs.Root(t)
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

// wantOnly makes sure that nothing but what is kept is left.
func (k keeper) wantOnly(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(k.dir)
	check(t, err)
	var names []string
	for _, e := range left {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "accepted content" {
		t.Errorf("in the keeper's directory are %s", got)
	}
}

// TestBrokenOff: what a start left behind that was broken off is no content,
// wherever that was; the next one completes it.
func TestBrokenOff(t *testing.T) {
	needs.Root(t)
	for name, before := range map[string]func(k keeper) error{
		"copying": func(k keeper) error {
			return errors.Join(os.MkdirAll(filepath.Join(k.dir, incoming+".partial-1", "srv/www"), 0o755), os.WriteFile(filepath.Join(k.dir, incoming+".partial-1", "srv/www/index.html"), []byte("ha"), 0o644))
		},
		"moving": func(k keeper) error { // one file is in its place already
			return errors.Join(os.MkdirAll(filepath.Join(k.dir, incoming, "srv/www"), 0o755), os.MkdirAll(k.kept("/srv/www"), 0o700), os.WriteFile(k.kept("/srv/www/again.html"), []byte("the image's"), 0o644))
		},
		"remembering": func(k keeper) error {
			return errors.Join(os.MkdirAll(k.kept("/srv/www"), 0o700), os.WriteFile(filepath.Join(k.dir, ".part-1"), []byte("\"/et"), 0o600), os.Mkdir(filepath.Join(k.dir, underneath), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			k, _ := newKeeper(t)
			check(t, before(k))
			k.mounted(t, "/srv/www", "/etc/machine-id")
			for name, want := range map[string]string{"srv/www/index.html": "the image's", "srv/www/again.html": "the image's", "srv/www/.git/HEAD": "ref", "etc/machine-id": "0815"} {
				if got := k.read(t, name); got != want {
					t.Errorf("%s is %q", name, got)
				}
			}
			var st unix.Stat_t
			check(t, unix.Stat(filepath.Join(k.root, "srv/www"), &st))
			if st.Uid != 33 || st.Mode&0o7777 != 0o2750 {
				t.Errorf("/srv/www belongs to %d and has mode %o", st.Uid, st.Mode&0o7777)
			}
			k.wantOnly(t)
		})
	}
}

// TestAnotherIsBrokenOff: a system on trial that fell back while it copied leaves nothing
// to the good system, which has nothing to copy itself.
func TestAnotherIsBrokenOff(t *testing.T) {
	needs.Root(t)
	k, said := newKeeper(t)
	k.mounted(t, "/srv/www")()
	*said = nil
	for _, dir := range []string{incoming, incoming + ".partial-1"} {
		file := filepath.Join(k.dir, dir, "var/large")
		check(t, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte("half"), 0o644))
	}
	k.mounted(t, "/srv/www")
	if len(*said) > 0 {
		t.Errorf("said %q", *said)
	}
	k.wantOnly(t)
}

// TestWider: a newer image keeps more of a place than the older one did, and
// then less. What was kept is there, with the image's around it.
func TestWider(t *testing.T) {
	needs.Root(t)
	k, _ := newKeeper(t)
	unmount := k.mounted(t, "/srv/www")
	check(t, os.WriteFile(filepath.Join(k.root, "srv/www/index.html"), []byte("changed"), 0o644), os.Remove(filepath.Join(k.root, "srv/www/again.html")))
	unmount()
	check(t, os.MkdirAll(filepath.Join(k.root, "srv/ftp"), 0o755), os.WriteFile(filepath.Join(k.root, "srv/ftp/readme"), []byte("new"), 0o644), os.Chown(filepath.Join(k.root, "srv"), 7, 7))
	unmount = k.mounted(t, "/srv")
	if got := k.read(t, "srv/www/index.html") + " " + k.read(t, "srv/ftp/readme"); got != "changed new" {
		t.Errorf("got %s", got)
	}
	if _, err := os.Stat(filepath.Join(k.root, "srv/www/again.html")); err == nil {
		t.Error("what was removed is there again")
	}
	var st unix.Stat_t
	if check(t, unix.Stat(filepath.Join(k.root, "srv"), &st)); st.Uid != 7 {
		t.Errorf("/srv belongs to %d", st.Uid)
	}
	check(t, os.WriteFile(filepath.Join(k.root, "srv/ftp/readme"), []byte("changed too"), 0o644))
	unmount()
	k.mounted(t, "/srv/ftp")
	if got := k.read(t, "srv/ftp/readme"); got != "changed too" {
		t.Errorf("got %s", got)
	}
	k.wantOnly(t)
}

// TestLinksBetweenPlaces: however links lead from one persistent path to
// another, each content is there once.
func TestLinksBetweenPlaces(t *testing.T) {
	needs.Root(t)
	k, _ := newKeeper(t)
	check(t, os.Symlink("../srv/www", filepath.Join(k.root, "data/www")))
	k.mounted(t, "/home", "/data", "/data/www", "/srv")
	for _, name := range []string{"data/home/ada/.profile", "srv/www/index.html"} {
		check(t, os.WriteFile(filepath.Join(k.root, name), []byte("changed"), 0o644))
	}
	if got, err := os.ReadFile(k.kept("/data/home/ada/.profile")); err != nil || string(got) != "changed" {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestKindChanges: what was a directory and is a file in a newer image is told.
func TestKindChanges(t *testing.T) {
	needs.Root(t)
	k, _ := newKeeper(t)
	check(t, os.MkdirAll(k.kept("/etc/machine-id"), 0o755), os.WriteFile(filepath.Join(k.dir, accepted), []byte("\"/etc/machine-id\"\n"), 0o600))
	err := k.mountAll(t.Context(), k.placesOf(t, "/etc/machine-id"))
	if err == nil || !strings.Contains(err.Error(), "mount what is persistent at /etc/machine-id (a file cannot take") {
		t.Errorf("got %v", err)
	}
	check(t, os.WriteFile(filepath.Join(k.dir, accepted), []byte("nonsense\n"), 0o600))
	if err := k.mountAll(t.Context(), nil); err == nil || !strings.Contains(err.Error(), `accepted has the line "nonsense`) {
		t.Errorf("got %v", err)
	}
}

// TestMend has a filesystem looked after that was not let go of, and one that
// cannot be mended without a person.
func TestMend(t *testing.T) {
	file, last := newDisk(t, disk.Options{Seed: "mend"})
	part := filepath.Join(t.TempDir(), "part")
	f, err := os.Create(part)
	check(t, err)
	defer f.Close()
	_, err = io.Copy(f, io.NewSectionReader(file, last.Offset, last.Size))
	check(t, err)
	var said strings.Builder
	s := starter{console: &said}
	check(t, mend(t.Context(), part, s.say))
	if said.Len() > 0 {
		t.Errorf("of a sound one it said %q", said.String())
	}
	tool(t, "e2fsprogs", "debugfs", "-w", "-R", "set_super_value free_blocks_count 1", part)
	tool(t, "e2fsprogs", "debugfs", "-w", "-R", "set_super_value state 0", part)
	check(t, mend(t.Context(), part, s.say))
	if !strings.Contains(said.String(), "blocks") {
		t.Errorf("of what was mended it said %q", said.String())
	}
	tool(t, "e2fsprogs", "e2fsck", "-fn", part)
	_, err = f.WriteAt(make([]byte, 64<<10), 0)
	check(t, err)
	if err := mend(t.Context(), part, s.say); err == nil || !strings.Contains(err.Error(), "run it by hand") {
		t.Errorf("got %v", err)
	}
}

// TestOnlyRoom: where it cannot be told which disk the root is on, a system
// that is to grow starts all the same, and one with persistent data does not.
func TestOnlyRoom(t *testing.T) {
	needs.Root(t)
	dir := t.TempDir()
	check(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"))
	defer func() { check(t, unix.Unmount(dir, 0)) }()
	var said strings.Builder
	s := starter{root: dir, console: &said}
	if err := s.prepare(t.Context(), Params{Grow: true}); err != nil || !strings.Contains(said.String(), "starts with the room that it has") {
		t.Errorf("got %v, said %q", err, said.String())
	}
	if err := s.prepare(t.Context(), Params{Grow: true, Persistent: true}); err == nil {
		t.Error("it starts without its persistent data")
	}
}

// TestWatchArgs: the process that watches over a trial is told all that it has to know, of
// one disk and of two.
func TestWatchArgs(t *testing.T) {
	p := Params{Patience: time.Minute, Settle: 2 * time.Second, Running: "/run/x"}
	for _, d := range []trial.Disk{
		{File: "/dev/sda", ESP: 2 << 20, Sector: 512, Slot: slots.B},
		{File: "/dev/sda", Mirror: "/dev/sdb", ESP: 2 << 20, Sector: 4096, Slot: slots.A},
	} {
		got, params, err := parseWatchArgs(watchArgs(d, p)[1:])
		if err != nil || got != d || params != p {
			t.Errorf("of %+v and %+v, it is told %+v and %+v (%v)", d, p, got, params, err)
		}
	}
	if _, _, err := parseWatchArgs(watchArgs(trial.Disk{}, p)[2:]); err == nil {
		t.Error("a word is missing, and nobody notices")
	}
}
