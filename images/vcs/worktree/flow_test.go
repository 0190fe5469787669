//go:build linux

package worktree

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images/metadata"
	"cloudlets/images/vcs"
)

// repository is a committed image with one file of each kind.
func repository(t *testing.T, kind vcs.Kind) string {
	t.Helper()
	dir := everything(t)
	run(t, kind, dir, "init")
	commit(t, kind, dir)
	return dir
}

// changedLines returns the changed lines of a unified diff.
func changedLines(diff string) []string {
	var lines []string
	for line := range strings.Lines(diff) {
		if line[0] == '+' && !strings.HasPrefix(line, "+++") || line[0] == '-' && !strings.HasPrefix(line, "---") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestChangeOfOwnerIsOneLine(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		dir := repository(t, kind)
		must(t, os.Chown(filepath.Join(dir, "etc/shadow"), 3, 42))
		got := strings.Join(changedLines(run(t, kind, dir, "diff")), "\n")
		if want := "-/etc/shadow gid=42 mode=0640\n+/etc/shadow uid=3 gid=42 mode=0640"; got != want {
			t.Errorf("%s: the difference is\n%s\nwant\n%s", kind, got, want)
		}
		// It is committed without more ado, and can be taken back.
		run(t, kind, dir, words(kind, "commit")...)
		clean(t, kind, dir)
		run(t, kind, dir, words(kind, "checkout", map[vcs.Kind]string{vcs.Git: "HEAD~1", vcs.Hg: "0"}[kind])...)
		if st := stat(t, dir, "etc/shadow"); st.Uid != 0 {
			t.Errorf("%s: the owner is %d after going back, want 0", kind, st.Uid)
		}
		clean(t, kind, dir)
	})
}

func stat(t testing.TB, dir, name string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(filepath.Join(dir, name), &st))
	return st
}

// branches makes two branches of one revision, each with a change, and checks
// out the first one.
func branches(t *testing.T, kind vcs.Kind, dir string, ours, theirs func()) {
	t.Helper()
	base := map[vcs.Kind]string{vcs.Git: "main", vcs.Hg: "0"}[kind]
	run(t, kind, dir, words(kind, "branch", "theirs")...)
	theirs()
	commit(t, kind, dir)
	run(t, kind, dir, words(kind, "checkout", base)...)
	run(t, kind, dir, words(kind, "branch", "ours")...)
	ours()
	commit(t, kind, dir)
}

func TestOwnersOfTwoFilesMerge(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		dir := newImage(t)
		// The changed lines are adjacent, so a merge as text would conflict.
		plant(t, dir, map[string]string{"a": "", "b": "", "c": "", "gone/": ""})
		for _, name := range []string{"a", "b", "c"} {
			must(t, os.Chown(filepath.Join(dir, name), 1, 1))
		}
		run(t, kind, dir, "init")
		commit(t, kind, dir)
		branches(t, kind, dir,
			func() {
				must(t, os.Chown(filepath.Join(dir, "a"), 10, 1))
				must(t, os.Remove(filepath.Join(dir, "gone")))
			},
			func() {
				must(t, os.Chown(filepath.Join(dir, "b"), 20, 1))
				plant(t, dir, map[string]string{"new/": ""})
			})
		run(t, kind, dir, words(kind, "merge", "theirs")...)
		for name, want := range map[string]uint32{"a": 10, "b": 20, "c": 1} {
			if st := stat(t, dir, name); st.Uid != want {
				t.Errorf("%s: %s belongs to %d after the merge, want %d", kind, name, st.Uid, want)
			}
		}
		if exists(dir, "gone") || !exists(dir, "new") {
			t.Errorf("%s: the empty directories are not merged", kind)
		}
	})
}

func TestConflictIsResolved(t *testing.T) {
	eachKind(t, func(t *testing.T, kind vcs.Kind) {
		dir := newImage(t)
		plant(t, dir, map[string]string{"a": "", "b": ""})
		run(t, kind, dir, "init")
		commit(t, kind, dir)
		chown := func(uid int) func() { return func() { must(t, os.Chown(filepath.Join(dir, "a"), uid, 0)) } }
		branches(t, kind, dir, chown(10), chown(20))
		code, out := try(t, kind, dir, words(kind, "merge", "theirs")...)
		if code == 0 || !strings.Contains(out, metadataName) {
			t.Errorf("%s: a merge of two owners ends with %d and says %s", kind, code, out)
		}
		if _, err := Run(t.Context(), options(t, kind, dir, &bytes.Buffer{}, "commit", "-m", "x")); !errors.Is(err, metadata.ErrConflict) {
			t.Errorf("%s: a commit in the middle of the merge: %v", kind, err)
		}
		run(t, kind, dir, words(kind, "status")...) // must not change anything
		text, err := os.ReadFile(filepath.Join(dir, metadataName))
		must(t, err)
		if !bytes.Contains(text, []byte("<<<<<<<")) || !bytes.Contains(text, []byte("/a uid=10")) || !bytes.Contains(text, []byte("/a uid=20")) {
			t.Fatalf("%s: the conflict is not in the file:\n%s", kind, text)
		}
		plant(t, dir, map[string]string{metadataName: "#cloudlet-metadata 1\n/a uid=30\n"})
		run(t, kind, dir, map[vcs.Kind][]string{vcs.Git: {"add", metadataName}, vcs.Hg: {"resolve", "--mark", metadataName}}[kind]...)
		run(t, kind, dir, words(kind, "commit")...)
		if st := stat(t, dir, "a"); st.Uid != 30 {
			t.Errorf("%s: a belongs to %d, and it was resolved to 30", kind, st.Uid)
		}
		clean(t, kind, dir)
	})
}

func TestCheckoutMakesAndRemoves(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		dir := newImage(t)
		plant(t, dir, map[string]string{"bin/a": "same", "bin/b": "same", "etc/passwd": "x", "untracked": ""})
		must(t, os.Remove(filepath.Join(dir, "untracked")))
		run(t, kind, dir, "init")
		commit(t, kind, dir)
		first := describeDir(t, dir)
		run(t, kind, dir, words(kind, "branch", "other")...)
		must(t, os.Remove(filepath.Join(dir, "bin/b")))
		must(t, os.Link(filepath.Join(dir, "bin/a"), filepath.Join(dir, "bin/b")))
		must(t, unix.Mkfifo(filepath.Join(dir, "etc/fifo"), 0o600))
		must(t, os.Remove(filepath.Join(dir, "etc/passwd")))
		must(t, unix.Mknod(filepath.Join(dir, "etc/passwd"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
		plant(t, dir, map[string]string{"srv/deep/empty/": ""})
		commit(t, kind, dir)
		second := describeDir(t, dir)
		for range map[vcs.Kind]int{vcs.Git: 2, vcs.Hg: 1}[kind] {
			run(t, kind, dir, words(kind, "checkout", map[vcs.Kind]string{vcs.Git: "main", vcs.Hg: "0"}[kind])...)
			same(t, string(kind)+": files of the first revision", first, describeDir(t, dir))
			clean(t, kind, dir)
			run(t, kind, dir, words(kind, "checkout", "other")...)
			same(t, string(kind)+": files of the second revision", second, describeDir(t, dir))
			clean(t, kind, dir)
		}
	})
}

func TestUntrackedAndVolatileFilesAreLeftAlone(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		dir := newImage(t)
		plant(t, dir, map[string]string{".cloudlet/manifest": manifestFile, "a": "1"})
		run(t, kind, dir, "init")
		commit(t, kind, dir)
		plant(t, dir, map[string]string{"a": "2", "mine/file": "", "tmp/x": "", "tmp/dir/": ""})
		run(t, kind, dir, words(kind, "commit")...)
		if kind == vcs.Git {
			run(t, kind, dir, "commit", "-q", "-a", "-m", "2")
		}
		for _, name := range []string{"mine", "mine/file", "tmp/x", "tmp/dir"} {
			must(t, os.Chown(filepath.Join(dir, name), 5, 6))
			must(t, os.Chmod(filepath.Join(dir, name), 0o711))
		}
		want := describeDir(t, dir)
		run(t, kind, dir, words(kind, "checkout", map[vcs.Kind]string{vcs.Git: "HEAD~1", vcs.Hg: "0"}[kind])...)
		got := describeDir(t, dir)
		for _, p := range []string{"/mine", "/mine/file", "/tmp/x", "/tmp/dir"} {
			if got[p] != want[p] {
				t.Errorf("%s: a checkout made %s %q of %q", kind, p, got[p], want[p])
			}
		}
		if status := run(t, kind, dir, words(kind, "status")...); !strings.Contains(status, "mine") || strings.Contains(status, "tmp") {
			t.Errorf("%s: status shows %q", kind, status)
		}
	})
}

func TestGitMovesCarryMetadata(t *testing.T) {
	needTool(t, vcs.Git)
	t.Parallel()
	dir := repository(t, vcs.Git)
	run(t, vcs.Git, dir, "mv", "etc/shadow", "etc/moved")
	run(t, vcs.Git, dir, "rm", "-q", "bin/su")
	run(t, vcs.Git, dir, "commit", "-q", "-m", "moved")
	clean(t, vcs.Git, dir)
	if st := stat(t, dir, "etc/moved"); st.Gid != 42 || st.Mode&0o7777 != 0o640 {
		t.Errorf("the moved file has group %d and mode %#o", st.Gid, st.Mode)
	}
	text, err := os.ReadFile(filepath.Join(dir, metadataName))
	must(t, err)
	if bytes.Contains(text, []byte("/etc/shadow")) || bytes.Contains(text, []byte("/bin/su")) || !bytes.Contains(text, []byte("/etc/moved gid=42")) {
		t.Errorf("the metadata did not move:\n%s", text)
	}
}

func TestStashAndReset(t *testing.T) {
	needTool(t, vcs.Git)
	t.Parallel()
	dir := repository(t, vcs.Git)
	want := describeDir(t, dir)
	must(t, os.Chown(filepath.Join(dir, "etc/shadow"), 9, 9))
	must(t, os.WriteFile(filepath.Join(dir, "etc/hosts"), []byte("changed"), 0o644))
	changed := describeDir(t, dir)
	run(t, vcs.Git, dir, "stash", "-q")
	same(t, "files after stash", want, describeDir(t, dir))
	run(t, vcs.Git, dir, "stash", "pop", "-q")
	same(t, "files after stash pop", changed, describeDir(t, dir))
	run(t, vcs.Git, dir, "reset", "-q", "--hard")
	same(t, "files after reset", want, describeDir(t, dir))
}

func TestGitAlias(t *testing.T) {
	needTool(t, vcs.Git)
	t.Parallel()
	dir := repository(t, vcs.Git)
	must(t, os.Chown(filepath.Join(dir, "etc/hosts"), 9, 9))
	run(t, vcs.Git, dir, "ci", "-q", "-m", "by an alias")
	clean(t, vcs.Git, dir)
}

func TestNoRepository(t *testing.T) {
	needTool(t, vcs.Git)
	needTool(t, vcs.Hg)
	t.Parallel()
	outer := newImage(t)
	run(t, vcs.Git, outer, "init")
	inner := filepath.Join(outer, "inner")
	must(t, os.Mkdir(inner, 0o755))
	for _, kind := range both {
		var out bytes.Buffer
		_, err := Run(t.Context(), options(t, kind, inner, &out, "add", "-A"))
		if !errors.Is(err, vcs.ErrNoRepository) || !strings.Contains(err.Error(), "init") {
			t.Errorf("%s in no repository: %v, %s", kind, err, out.String())
		}
	}
}

func TestExitCode(t *testing.T) {
	needTool(t, vcs.Git)
	t.Parallel()
	dir := repository(t, vcs.Git)
	must(t, os.WriteFile(filepath.Join(dir, "etc/hosts"), []byte("changed"), 0o644))
	if code, _ := try(t, vcs.Git, dir, "diff", "--exit-code", "--quiet"); code != 1 {
		t.Errorf("git diff --exit-code ends with %d, want 1", code)
	}
	if code, out := try(t, vcs.Git, dir, "no-such-command"); code != 1 || !strings.Contains(out, "no-such-command") {
		t.Errorf("an unknown command ends with %d: %s", code, out)
	}
	if code, _ := try(t, vcs.Git, dir, "-c", "alias.die=!kill -9 $$", "die"); code != 128+9 {
		t.Errorf("a killed command ends with %d, want 137", code)
	}
}

func TestCancelledRunPutsThingsInOrder(t *testing.T) {
	needTool(t, vcs.Git)
	t.Parallel()
	dir := repository(t, vcs.Git)
	want := describeDir(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	hook(t, dir, "pre-commit", "echo started\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.02; done\n")
	out := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("started")) {
			if exists(dir, "srv/app/.git") {
				t.Error("git sees a .git of the image while it works")
			}
			cancel()
		}
		return len(p), nil
	})
	opt := options(t, vcs.Git, dir, out, "commit", "--allow-empty", "-m", "x")
	code, err := Run(ctx, opt)
	if err == nil && code == 0 {
		t.Error("a cancelled commit succeeds")
	}
	same(t, "files after a cancelled commit", want, describeDir(t, dir))
}

// TestSignalsArePassedOn ends git by a signal while it works.
func TestSignalsArePassedOn(t *testing.T) {
	needTool(t, vcs.Git)
	t.Parallel()
	dir := repository(t, vcs.Git)
	want := describeDir(t, dir)
	hook(t, dir, "pre-commit", "echo started\nwhile kill -0 $PPID 2>/dev/null; do sleep 0.02; done\n")
	signals := make(chan os.Signal, 1)
	opt := options(t, vcs.Git, dir, writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("started")) {
			signals <- unix.SIGTERM
		}
		return len(p), nil
	}), "commit", "--allow-empty", "-m", "x")
	opt.Signals = signals
	code, err := Run(t.Context(), opt)
	if code != 128+int(unix.SIGTERM) || err != nil {
		t.Errorf("the run ends with %d, %v; want 143", code, err)
	}
	same(t, "files after a commit that was ended", want, describeDir(t, dir))
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
