//go:build linux

package worktree

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images/vcs"
	"cloudlets/images/vcs/gitindex"
)

// cloned returns a clone of a small image, in which a status has a guess.
func cloned(t *testing.T, manifest string) string {
	t.Helper()
	needTool(t, vcs.Git)
	origin := filepath.Join(t.TempDir(), "origin")
	must(t, os.MkdirAll(filepath.Join(origin, ".cloudlet"), 0o755))
	must(t, os.MkdirAll(filepath.Join(origin, "var"), 0o755))
	must(t, os.WriteFile(filepath.Join(origin, ".cloudlet/manifest"), []byte(manifest), 0o644))
	for _, name := range []string{"plain", "owned", "var/kept"} {
		must(t, os.WriteFile(filepath.Join(origin, name), []byte(name), 0o644))
	}
	must(t, os.Chown(filepath.Join(origin, "owned"), 1001, 1002))
	run(t, vcs.Git, origin, "init", "-q")
	run(t, vcs.Git, origin, "add", "-A")
	run(t, vcs.Git, origin, "commit", "-q", "-m", "x")
	dir := origin + "-copy"
	run(t, vcs.Git, dir, "clone", "-q", origin)
	if !exists(dir, ".git/cloudlets/ignore") {
		t.Fatal("the clone has left no guess")
	}
	return dir
}

const plainManifest = `{"volatile": ["/var/log.*"]}`

func TestEarlyStatusSeesEveryChange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string // of git status --short
	}{
		"none":    {func(string) error { return nil }, ""},
		"content": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "plain"), []byte("x"), 0o644) }, " M plain\n"},
		"new":     {func(dir string) error { return os.WriteFile(filepath.Join(dir, "new"), nil, 0o644) }, "?? new\n"},
		"removed": {func(dir string) error { return os.Remove(filepath.Join(dir, "plain")) }, " D plain\n"},
		"owner":   {func(dir string) error { return os.Chown(filepath.Join(dir, "plain"), 7, 7) }, " M .cloudlet/metadata\n"},
		"mode":    {func(dir string) error { return os.Chmod(filepath.Join(dir, "plain"), 0o600) }, " M .cloudlet/metadata\n"},
		"attribute": {func(dir string) error {
			return unix.Setxattr(filepath.Join(dir, "plain"), "trusted.x", []byte("x"), 0)
		}, " M .cloudlet/metadata\n"},
		"volatile": {func(dir string) error {
			must(t, os.MkdirAll(filepath.Join(dir, "var/log"), 0o755))
			return os.WriteFile(filepath.Join(dir, "var/log/x"), nil, 0o644)
		}, ""},
		"escaped": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "var/.gitignore"), []byte("*\n"), 0o644)
		}, "?? var/.cloudlet-.gitignore\n"},
		"fifo": {func(dir string) error { return unix.Mkfifo(filepath.Join(dir, "var/.gitattributes"), 0o644) }, " M .cloudlet/metadata\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := cloned(t, plainManifest)
			for range 2 { // the second run has the guess of the first
				must(t, c.change(dir))
				if got := run(t, vcs.Git, dir, "status", "--short"); got != c.want {
					t.Fatalf("git status prints %q, want %q", got, c.want)
				}
				if name != "fifo" && exists(dir, ".git/index.lock") { // git is ended if it may read from one
					t.Error("a lock is left: git refuses to work")
				}
				if name != "none" && name != "content" && name != "new" && name != "volatile" {
					break // the change cannot be made twice
				}
			}
		})
	}
}

func TestEarlyStatusKeepsExitCodeAndOrder(t *testing.T) {
	t.Parallel()
	dir := cloned(t, plainManifest)
	if code, out := try(t, vcs.Git, dir, "status", "--no-such-option"); code != 129 || !strings.Contains(out, "no-such-option") {
		t.Errorf("exit code %d, output %q", code, out)
	}
	var first, second strings.Builder
	var s spool
	a, b := s.writer(&first), s.writer(&second)
	for _, w := range []struct{ text string }{{"1"}, {"2"}} {
		_, _ = a.Write([]byte(w.text))
		_, _ = b.Write([]byte(w.text + w.text))
	}
	must(t, s.print())
	if first.String() != "12" || second.String() != "1122" {
		t.Errorf("printed %q and %q", first.String(), second.String())
	}
}

// TestStatusRunsOnce: with a right guess the early run is the only one. On a terminal it
// tells itself from git's own way to write there by a variable.
func TestStatusRunsOnce(t *testing.T) {
	dir := cloned(t, plainManifest)
	git, err := vcs.FindTool(vcs.Git)
	must(t, err)
	bin, log := t.TempDir(), filepath.Join(t.TempDir(), "log")
	wrapper := fmt.Sprintf("#!/bin/sh\necho \"early=$GIT_PAGER_IN_USE, $*\" >>%s\nexec %s \"$@\"\n", log, git)
	must(t, os.WriteFile(filepath.Join(bin, "git"), []byte(wrapper), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for _, c := range []struct {
		name, early string
		change      func()
		args        []string
	}{
		{"guessed right", "1", func() {}, []string{"status"}},
		{"a page of the manual", "", func() {}, []string{"status", "-h"}},
		{"no guess", "", func() { must(t, os.Remove(filepath.Join(dir, ".git/cloudlets/ignore"))) }, []string{"status"}},
		{"the guess of the last run", "1", func() {}, []string{"status"}},
	} {
		c.change()
		must(t, os.WriteFile(log, nil, 0o644))
		if len(c.args) == 1 {
			onTerminal(t, dir, c.args)
		} else {
			try(t, vcs.Git, dir, c.args...)
		}
		text, err := os.ReadFile(log)
		must(t, err)
		var runs []string
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, " status") {
				early, _, _ := strings.Cut(line, ",")
				runs = append(runs, early)
			}
		}
		if !slices.Equal(runs, []string{"early=" + c.early}) {
			t.Errorf("%s: git status ran so: %q", c.name, runs)
		}
	}
}

// A terminal gets the same output from an early run as from git itself.
func TestEarlyStatusOnTerminal(t *testing.T) {
	t.Parallel()
	dir := cloned(t, plainManifest)
	must(t, os.WriteFile(filepath.Join(dir, "plain"), []byte("other"), 0o644))
	for _, global := range [][]string{{}, {"-c", "color.status=false"}, {"-c", "column.status=always"}, {"-c", "pager.status=cat"}, {"-c", "color.pager=false"}} {
		args := append(global, "status")
		early := onTerminal(t, dir, args)
		must(t, os.Remove(filepath.Join(dir, ".git/cloudlets/ignore"))) // no guess, so git itself writes
		if itself := onTerminal(t, dir, args); early != itself || !strings.Contains(early, "plain") {
			t.Errorf("%q: the terminal gets %q, but from git %q", args, early, itself)
		}
		if len(global) == 0 && !strings.Contains(early, "\x1b[") {
			t.Errorf("the terminal gets no colours: %q", early)
		}
	}
}

// onTerminal returns what a run writes to a terminal.
func onTerminal(t *testing.T, dir string, args []string) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	defer master.Close()
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	opt := options(t, vcs.Git, dir, terminal, args...)
	opt.Stdin = terminal
	if code, err := Run(t.Context(), opt); code != 0 || err != nil {
		t.Fatalf("exit code %d, error %v", code, err)
	}
	must(t, terminal.Close())
	text, _ := io.ReadAll(master) // the end is an error, because nobody has the terminal open
	return string(text)
}

// After a clone the index has the owners that the files have, so that git need
// not read them, and everything else is as git wrote it.
func TestIndexHasTheOwners(t *testing.T) {
	t.Parallel()
	dir := cloned(t, plainManifest)
	index, _, err := (&gitTool{dir: dir}).readIndex()
	must(t, err)
	for i, name := range index.Names {
		uid, gid := uint32(0), uint32(0)
		if name == "owned" {
			uid, gid = 1001, 1002
		}
		if got := index.Stat(i); got.UID != uid || got.GID != gid {
			t.Errorf("the index says of %s: %+v", name, got)
		}
	}
	plain(t, dir, "git", "-c", "safe.directory=*", "fsck")
	if exists(dir, ".git/index.lock") {
		t.Error("the index is still locked")
	}
}

// A run that was killed while it replaced the index leaves a lock, which the next
// run removes. It leaves that of anybody else.
func TestLockOfKilledRunIsRemoved(t *testing.T) {
	t.Parallel()
	dir := cloned(t, plainManifest)
	written, lock := filepath.Join(dir, ".git/cloudlets/index"), filepath.Join(dir, ".git/index.lock")
	must(t, os.WriteFile(written, []byte("half"), 0o600))
	must(t, os.Link(written, lock))
	run(t, vcs.Git, dir, "add", "-A")
	if exists(dir, ".git/index.lock") || exists(dir, ".git/cloudlets/index") {
		t.Error("the lock of the killed run is still there")
	}
	must(t, os.WriteFile(written, []byte("half"), 0o600))
	must(t, os.WriteFile(lock, nil, 0o600))
	run(t, vcs.Git, dir, "status")
	if !exists(dir, ".git/index.lock") || exists(dir, ".git/cloudlets/index") {
		t.Error("the lock of another program was removed")
	}
}

// A file that is not as the index says keeps what the index says of it: git has
// to look at it.
func TestIndexKeepsOwnersOfOtherFiles(t *testing.T) {
	t.Parallel()
	dir := cloned(t, plainManifest)
	g := &gitTool{dir: dir}
	index, before, err := g.readIndex()
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "owned"), []byte("other"), 0o644))
	must(t, os.Chown(filepath.Join(dir, "owned"), 5, 5))
	must(t, os.Chown(filepath.Join(dir, "plain"), 5, 5))
	s, err := newSession(options(t, vcs.Git, dir, nil, "status"))
	must(t, err)
	v := *index
	run(t, vcs.Git, dir, "status") // writes the metadata file
	file, err := s.metadata()
	must(t, err)
	text, whole := v.WithOwners(nil)
	if !whole {
		t.Fatal("the index is damaged")
	}
	must(t, os.WriteFile(filepath.Join(dir, ".git/index"), text, 0o644))
	must(t, os.Chtimes(filepath.Join(dir, ".git/index"), before.ModTime(), before.ModTime()))
	g.ownersChanged(file)
	now, after, err := g.readIndex()
	must(t, err)
	want := map[string]gitindex.Stat{}
	for i, name := range index.Names {
		st := index.Stat(i)
		if name == "plain" {
			st.UID, st.GID = 5, 5
		}
		want[name] = st
	}
	for i, name := range now.Names {
		if now.Stat(i) != want[name] {
			t.Errorf("the index says of %s: %+v, want %+v", name, now.Stat(i), want[name])
		}
	}
	if !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the index has the time %v, want %v", after.ModTime(), before.ModTime())
	}
}

// An index that only git can read changes nothing but the time that it takes.
func TestUnusualIndex(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"split": {"update-index", "--split-index"}, "version 4": {"update-index", "--index-version=4"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := cloned(t, plainManifest)
			plain(t, dir, append([]string{"git", "-c", "safe.directory=*"}, args...)...)
			must(t, os.Chown(filepath.Join(dir, "plain"), 7, 7))
			if got := run(t, vcs.Git, dir, "status", "--short"); got != " M .cloudlet/metadata\n" {
				t.Errorf("git status prints %q", got)
			}
		})
	}
}

func TestNameList(t *testing.T) {
	l := nameList{sorted: []string{"a", "b/c", "d"}}
	for _, name := range []string{"a", "b/c", "d", "a", "d", "b/c"} {
		if !l.has(name) {
			t.Errorf("%q is not in the list", name)
		}
	}
	for _, name := range []string{"", "b", "e"} {
		if l.has(name) {
			t.Errorf("%q is in the list", name)
		}
	}
}
