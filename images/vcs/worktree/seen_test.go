//go:build linux

package worktree

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images/vcs"
)

// seenStatus runs git status until it has left what it saw: it leaves nothing while the
// tree is as young as a tick of the kernel's clock.
func seenStatus(t *testing.T, dir string) {
	t.Helper()
	for range 1000 {
		if run(t, vcs.Git, dir, "status", "--short"); exists(dir, ".git/cloudlets/"+seenFile) {
			return
		}
	}
	t.Fatal("git status leaves nothing for the next one")
}

// TestStatusAfterStatus compares what git status prints after each kind of change with
// what it prints if it knows nothing of the status before.
func TestStatusAfterStatus(t *testing.T) {
	t.Parallel()
	at := func(dir, name string) string { return filepath.Join(dir, name) }
	git := func(dir string, args ...string) error { run(t, vcs.Git, dir, args...); return nil }
	for name, c := range map[string]struct {
		change func(dir string) error
		none   bool // git sees no difference
	}{
		"none":         {func(string) error { return nil }, true},
		"owner":        {func(dir string) error { return os.Chown(at(dir, "plain"), 7, 7) }, false},
		"mode":         {func(dir string) error { return os.Chmod(at(dir, "plain"), 0o600) }, false},
		"folder":       {func(dir string) error { return os.Chmod(at(dir, "var"), 0o700) }, false},
		"root":         {func(dir string) error { return os.Chmod(dir, 0o711) }, false},
		"attribute":    {func(dir string) error { return unix.Setxattr(at(dir, "plain"), "trusted.x", []byte("x"), 0) }, false},
		"empty folder": {func(dir string) error { return os.Mkdir(at(dir, "var/empty"), 0o755) }, false},
		"device":       {func(dir string) error { return unix.Mknod(at(dir, "var/null"), unix.S_IFCHR|0o666, 0x103) }, false},
		"hard link":    {func(dir string) error { return os.Link(at(dir, "plain"), at(dir, "var/plain")) }, false},
		"removed":      {func(dir string) error { return os.Remove(at(dir, "var/kept")) }, false},
		"exchanged": {func(dir string) error {
			return unix.Renameat2(unix.AT_FDCWD, at(dir, "plain"), unix.AT_FDCWD, at(dir, "owned"), unix.RENAME_EXCHANGE)
		}, false},
		"old times": {func(dir string) error {
			var st unix.Stat_t
			must(t, unix.Stat(at(dir, "plain"), &st))
			must(t, os.WriteFile(at(dir, "plain"), []byte("longer than before"), 0o644))
			return unix.UtimesNanoAt(unix.AT_FDCWD, at(dir, "plain"), []unix.Timespec{st.Atim, st.Mtim}, 0)
		}, false},
		"metadata file": {func(dir string) error {
			return os.WriteFile(at(dir, metadataName), []byte("#cloudlet-metadata 1\n"), 0o644)
		}, true},
		"manifest": {func(dir string) error {
			return os.WriteFile(at(dir, ".cloudlet/manifest"), []byte(`{"volatile": ["/new"]}`), 0o644)
		}, false},
		"index":     {func(dir string) error { return git(dir, "rm", "-q", "--cached", "owned") }, false},
		"git alone": {func(dir string) error { plain(t, dir, "git", "update-index", "--force-remove", "owned"); return nil }, false},
		"ignored":   {func(dir string) error { return os.WriteFile(at(dir, "var/log"), nil, 0o644) }, true},
		"fifo":      {func(dir string) error { return unix.Mkfifo(at(dir, "var/.gitattributes"), 0o644) }, false},
		"bad marks": {func(dir string) error {
			return os.WriteFile(at(dir, ".git/cloudlets/"+seenFile), make([]byte, 1000), 0o600)
		}, true},
		"short marks": {func(dir string) error { return os.Truncate(at(dir, ".git/cloudlets/"+seenFile), 70) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := cloned(t, plainManifest)
			seenStatus(t, dir)
			must(t, c.change(dir))
			got := run(t, vcs.Git, dir, "status", "--short")
			must(t, os.RemoveAll(filepath.Join(dir, ".git/cloudlets", seenFile)))
			if want := run(t, vcs.Git, dir, "status", "--short"); got != want || (want == "") != c.none {
				t.Errorf("git status prints %q, and %q if it knows nothing", got, want)
			}
		})
	}
}

// TestStatusReadsNoAttributes: a status after another one asks for no attributes of files.
func TestStatusReadsNoAttributes(t *testing.T) {
	t.Parallel()
	dir := cloned(t, plainManifest)
	seenStatus(t, dir)
	s, err := newSession(options(t, vcs.Git, dir, nil, "status"))
	must(t, err)
	must(t, s.withState(t.Context(), func() error {
		if _, err := s.metadata(); err != nil {
			return err
		}
		guess, err := os.ReadFile(s.state.file(ignoreFile))
		if err != nil {
			return err
		}
		if same, err := s.asSeen(t.Context(), &early{ignore: string(guess)}); err != nil || !same {
			t.Errorf("the tree is as it was: %v, %v", same, err)
		}
		if same, err := s.asSeen(t.Context(), &early{ignore: "other"}); err != nil || same {
			t.Errorf("with another guess the tree is as it was: %v, %v", same, err)
		}
		return nil
	}))
}
