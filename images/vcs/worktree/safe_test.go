//go:build linux

package worktree

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cloudlets/images/dirtree"
	"cloudlets/images/metadata"
	"cloudlets/images/metadata/trees"
	"cloudlets/images/vcs"
)

// runChild makes the test binary run a tool in another process, which can be
// killed or can have another user.
const runChild = "run-child"

// child runs a tool in its own process, with the user of cred.
func child(t testing.TB, cred *syscall.Credential, kind vcs.Kind, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", append([]string{runChild, string(kind), dir}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: cred}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// childMain is the main function of that process.
func childMain(args []string) int {
	opt := Options{Kind: vcs.Kind(args[0]), Dir: args[1], Args: args[2:], Stdout: os.Stdout, Stderr: os.Stderr}
	code, err := Run(context.Background(), opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 99
	}
	return code
}

// hook makes a git hook.
func hook(t testing.TB, dir, name, script string) {
	t.Helper()
	p := filepath.Join(dir, ".git/hooks", name)
	must(t, os.MkdirAll(filepath.Dir(p), 0o755))
	must(t, os.WriteFile(p, []byte("#!/bin/sh\n"+script), 0o755))
	must(t, os.Chmod(p, 0o755))
}

// TestSecretsAreNotReadableInBetween checks the files when git has written them
// but the metadata is not applied yet.
func TestSecretsAreNotReadableInBetween(t *testing.T) {
	needTool(t, vcs.Git)
	t.Parallel()
	dir := newImage(t)
	plant(t, dir, map[string]string{"etc/hosts": "x"})
	run(t, vcs.Git, dir, "init")
	commit(t, vcs.Git, dir)
	run(t, vcs.Git, dir, "checkout", "-q", "-b", "secret")
	plant(t, dir, map[string]string{"etc/shadow": "secret", "root/.ssh/id": "secret"})
	must(t, os.Chmod(filepath.Join(dir, "etc/shadow"), 0o640))
	must(t, os.Chmod(filepath.Join(dir, "root"), 0o700))
	commit(t, vcs.Git, dir)
	run(t, vcs.Git, dir, "checkout", "-q", "main")
	hook(t, dir, "post-checkout", "stat -c '%a %n' etc/shadow root root/.ssh/id\n")
	out := run(t, vcs.Git, dir, "checkout", "-q", "secret")
	if want := "600 etc/shadow\n700 root\n600 root/.ssh/id\n"; out != want {
		t.Errorf("in between the files are\n%swant\n%s", out, want)
	}
	if st := stat(t, dir, "etc/shadow"); st.Mode&0o7777 != 0o640 {
		t.Errorf("afterwards the mode is %#o", st.Mode)
	}
	// The files in the repository must not be more readable than those in the
	// image.
	if st := stat(t, dir, ".git"); st.Mode&0o77 != 0 {
		t.Errorf("others may enter the repository: mode %#o", st.Mode)
	}
	copied := filepath.Join(t.TempDir(), "clone")
	run(t, vcs.Git, copied, "clone", "-q", dir)
	if st := stat(t, copied, ".git"); st.Mode&0o77 != 0 {
		t.Errorf("others may enter the clone's repository: mode %#o", st.Mode)
	}
}

// TestKilledRunIsPutInOrder kills a run while git works, before and after git
// has changed the files.
func TestKilledRunIsPutInOrder(t *testing.T) {
	needTool(t, vcs.Git)
	t.Parallel()
	const killUs = "kill -9 $(awk '{print $4}' /proc/$PPID/stat)\n"
	dir := everything(t)
	run(t, vcs.Git, dir, "init")
	commit(t, vcs.Git, dir)
	first := withoutVolatile(describeDir(t, dir))
	run(t, vcs.Git, dir, "checkout", "-q", "-b", "other")
	must(t, os.Chown(filepath.Join(dir, "etc/hosts"), 5, 5))
	must(t, os.Remove(filepath.Join(dir, "dev/null2")))
	plant(t, dir, map[string]string{"etc/shadow": "another", "srv/new/.git/HEAD": "nested"})
	commit(t, vcs.Git, dir)
	second := withoutVolatile(describeDir(t, dir))

	hook(t, dir, "post-checkout", killUs)
	out, err := child(t, nil, vcs.Git, dir, "checkout", "-q", "main")
	if err == nil {
		t.Fatalf("the run was not killed: %s", out)
	}
	if exists(dir, "srv/app/.git") {
		t.Error("the run ended before it was killed")
	}
	must(t, os.Remove(filepath.Join(dir, ".git/hooks/post-checkout")))
	clean(t, vcs.Git, dir)
	same(t, "files after a killed checkout", first, withoutVolatile(describeDir(t, dir)))

	run(t, vcs.Git, dir, "checkout", "-q", "other")
	hook(t, dir, "pre-commit", killUs)
	if out, err := child(t, nil, vcs.Git, dir, "commit", "--allow-empty", "-m", "x"); err == nil {
		t.Fatalf("the run was not killed: %s", out)
	}
	must(t, os.Remove(filepath.Join(dir, ".git/hooks/pre-commit")))
	clean(t, vcs.Git, dir)
	same(t, "files after a killed commit", second, withoutVolatile(describeDir(t, dir)))
	if exists(dir, ".git/cloudlets/pending") || exists(dir, ".git/cloudlets/names") {
		t.Error("the state of the killed runs is still there")
	}
}

// TestOneRunAtATime starts a second run during the first.
func TestOneRunAtATime(t *testing.T) {
	needTool(t, vcs.Git)
	t.Parallel()
	dir := newImage(t)
	plant(t, dir, map[string]string{"a": ""})
	run(t, vcs.Git, dir, "init")
	commit(t, vcs.Git, dir)
	hook(t, dir, "pre-commit", "echo started\n")
	tried := false
	out := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("started")) {
			_, err := Run(t.Context(), options(t, vcs.Git, dir, io.Discard, "status"))
			if err == nil || !strings.Contains(err.Error(), "wait until it ends") {
				t.Errorf("a second run: %v", err)
			}
			tried = true
		}
		return len(p), nil
	})
	code, err := Run(t.Context(), options(t, vcs.Git, dir, out, "commit", "--allow-empty", "-m", "x"))
	if code != 0 || err != nil || !tried {
		t.Errorf("the first run ends with %d, %v; a second was tried: %v", code, err, tried)
	}
}

// nobody is the number of an ordinary user.
const nobody = 65534

func chownAll(t testing.TB, dir string, id int) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, id, id)
	}))
}

// TestOrdinaryUser lets an ordinary user clone an image of root's and change
// it, and lets root pull what the user made.
func TestOrdinaryUser(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		dir := everything(t)
		run(t, kind, dir, "init")
		commit(t, kind, dir)
		want := withoutVolatile(describeDir(t, dir))

		place := t.TempDir()
		must(t, os.Chmod(filepath.Dir(place), 0o755))
		must(t, os.Chown(place, nobody, nobody))
		users := filepath.Join(place, "users")
		run(t, kind, users, "clone", "-q", map[vcs.Kind]string{vcs.Git: "--bare", vcs.Hg: "--noupdate"}[kind], dir)
		chownAll(t, users, nobody)
		cred := &syscall.Credential{Uid: nobody, Gid: nobody}
		as := func(image string, args ...string) string {
			out, err := child(t, cred, kind, image, args...)
			if err != nil {
				t.Fatalf("%v as an ordinary user: %v: %s", args, err, out)
			}
			return out
		}
		image := filepath.Join(place, "image")
		as(image, "clone", "-q", users)
		if st := stat(t, image, "bin/su"); st.Uid != nobody || st.Mode&0o7777 != 0o755 {
			t.Errorf("the user's own su belongs to %d with mode %#o", st.Uid, st.Mode&0o7777)
		}
		if out := as(image, words(kind, "status")...); out != "" {
			t.Errorf("the user's clone differs:\n%s", out)
		}
		src, err := dirtree.Open(image)
		must(t, err)
		recorded, err := metadata.Read(image)
		must(t, err)
		same(t, "files that the user's directory means", want, describe(t, trees.Wrap(src, recorded)))

		must(t, os.Chmod(filepath.Join(image, "etc/hosts"), 0o600))
		plant(t, image, map[string]string{"etc/new": "by the user", "empty/": ""})
		must(t, os.Lchown(filepath.Join(image, "etc/new"), nobody, nobody))
		must(t, os.Lchown(filepath.Join(image, "empty"), nobody, nobody))
		as(image, words(kind, "add")...)
		as(image, words(kind, "commit")...)
		chownAll(t, filepath.Join(image, "."+string(kind)), 0) // git refuses another user's repository
		back := filepath.Join(t.TempDir(), "back")
		run(t, kind, back, "clone", "-q", image)
		want["/etc/hosts"] = strings.Replace(want["/etc/hosts"], "mode 0644", "mode 0600", 1)
		got := describeDir(t, back)
		if !strings.HasPrefix(got["/etc/new"], "type 1 mode 0644 owner 0:0") || !strings.HasPrefix(got["/empty"], "type 2 mode 0755 owner 0:0") {
			t.Errorf("what the user made: %q and %q", got["/etc/new"], got["/empty"])
		}
		delete(got, "/etc/new")
		delete(got, "/empty")
		same(t, "files that root gets back", want, got)
	})
}

// TestPatternsMatchOnePath lets the tools ignore files with unusual names, each
// one by itself.
func TestPatternsMatchOnePath(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		names := []string{"a", "ab", "a*", "a?", "a[b]", "a\\", "a\\b", "a ", " a", "a  b", "!a", "#a", "a\xff", "ä", "a.b", "a$", "a(b", "a+", "^a", "a\tb", "{a,b}", "a%"}
		if kind == vcs.Git {
			names = append(names, "a\n", "a\nb", "a\r", "\ra", "a\r\n")
		}
		dir := newImage(t)
		for _, name := range names {
			plant(t, dir, map[string]string{"d/" + name: ""})
		}
		run(t, kind, dir, "init")
		ours := map[vcs.Kind]tool{vcs.Git: &gitTool{dir: dir}, vcs.Hg: &hgTool{dir: dir}}[kind]
		for i, name := range names {
			if kind == vcs.Hg && i%6 != 0 {
				continue // it is slow to start
			}
			file := filepath.Join(t.TempDir(), "ignore")
			must(t, os.WriteFile(file, []byte(ours.pattern("/d/"+name, false)+"\n"), 0o600))
			args := []string{"ls-files", "-z", "--others", "--exclude-from=" + file}
			if kind == vcs.Hg {
				args = []string{"status", "-un0", "--config", "ui.ignore.x=" + file, "--cwd", dir}
			}
			out, err := vcs.Ask(t.Context(), kind, dir, args...)
			must(t, err)
			left := paths(out)
			if len(left) != len(names)-1 {
				t.Errorf("the pattern for %q leaves %q", name, left)
			}
			for _, p := range left {
				if p == "d/"+name {
					t.Errorf("%q is not ignored", name)
				}
			}
		}
	})
}

// TestHostileRepository clones a repository that tries to place files where
// they control programs.
func TestHostileRepository(t *testing.T) {
	eachKind(t, func(t *testing.T, kind vcs.Kind) {
		dir := newImage(t)
		plant(t, dir, map[string]string{
			".cloudlet-.git/config": "[core]\n\tfsmonitor = touch owned\n", ".cloudlet-.hg/hgrc": "x", ".cloudlet-../x": "x", "a/.cloudlet-./y": "y",
			metadataName: "#cloudlet-metadata 1\n/a link=/b\n/b type=fifo\n/c type=char device=1,3\n",
		})
		script := map[vcs.Kind]string{
			vcs.Git: "git init -q && git add -A && git commit -q -m x",
			vcs.Hg:  "hg init && hg add -q --config ui.portablefilenames=ignore && hg commit -m x",
		}[kind]
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		copied := filepath.Join(t.TempDir(), "clone")
		run(t, kind, copied, "clone", "-q", dir)
		other := map[vcs.Kind]string{vcs.Git: ".hg", vcs.Hg: ".git"}[kind]
		if exists(copied, other) || exists(filepath.Dir(copied), "x") {
			t.Errorf("the repository brought %s", other)
		}
		run(t, kind, copied, words(kind, "status")...)
		if r, err := vcs.Open(t.Context(), dir, ""); err == nil {
			if _, err := r.Entry("/.git/config"); err == nil {
				t.Error("the image has a repository in it")
			}
			must(t, r.Close())
		}
	})
}
