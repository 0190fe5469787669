//go:build linux

package worktree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"cloudlets/images"
	"cloudlets/images/vcs"
)

func open(t testing.TB, path, revision string) *vcs.Revision {
	t.Helper()
	r, err := vcs.Open(t.Context(), path, revision)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestUnknownRevision(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		dir := newImage(t)
		plant(t, dir, map[string]string{"a": ""})
		run(t, kind, dir, "init")
		if _, err := vcs.Open(t.Context(), dir, ""); err == nil || kind == vcs.Git && !strings.Contains(err.Error(), "commit") {
			t.Errorf("a repository without revisions opens: %v", err)
		}
		commit(t, kind, dir)
		run(t, kind, dir, "tag", "v1.0")
		for _, name := range []string{"v2.0", "--output=x", "-x"} {
			_, err := vcs.Open(t.Context(), dir, name)
			branch := map[vcs.Kind]string{vcs.Git: "main", vcs.Hg: "default"}[kind]
			if err == nil || !strings.Contains(err.Error(), "v1.0") || !strings.Contains(err.Error(), branch) {
				t.Errorf("%s: %v; want the branch %s and the tag v1.0 named", name, err, branch)
			}
		}
		if _, err := vcs.Open(t.Context(), t.TempDir(), "x"); !errors.Is(err, vcs.ErrNoRepository) {
			t.Errorf("no repository: %v", err)
		}
	})
}

func TestRevisionsDiffer(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		dir := newImage(t)
		plant(t, dir, map[string]string{"a": "first"})
		run(t, kind, dir, "init")
		commit(t, kind, dir)
		run(t, kind, dir, "tag", "one")
		plant(t, dir, map[string]string{"a": "second"})
		must(t, os.Chown(filepath.Join(dir, "a"), 5, 0))
		commit(t, kind, dir)
		plant(t, dir, map[string]string{"a": "not committed"})
		seen := map[string]bool{}
		for revision, want := range map[string]string{"one": "first 0", "": "second 5"} {
			r := open(t, dir, revision)
			data, err := images.ReadFile(r, "/a", 100)
			must(t, err)
			e, err := r.Entry("/a")
			must(t, err)
			if got := fmt.Sprintf("%s %d", data, e.UID); got != want {
				t.Errorf("%q holds %q, want %q", revision, got, want)
			}
			if !e.ModTime.Equal(r.Time) || r.Time.Year() < 2020 {
				t.Errorf("the file is of %v, the revision of %v", e.ModTime, r.Time)
			}
			print, err := r.Fingerprint(t.Context())
			again, _ := open(t, dir, r.ID).Fingerprint(t.Context())
			if err != nil || len(print) != 64 || seen[print] || again != print {
				t.Errorf("fingerprint %q and %q, %v", print, again, err)
			}
			seen[print] = true
			if _, err := r.Open("/none"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file that is not there: %v", err)
			}
		}
	})
}

func TestBareRepositoryAndWorktree(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		dir := everything(t)
		run(t, kind, dir, "init")
		commit(t, kind, dir)
		want := withoutVolatile(describeDir(t, dir))
		bare := filepath.Join(t.TempDir(), "bare.git")
		flag := map[vcs.Kind]string{vcs.Git: "--bare", vcs.Hg: "--noupdate"}[kind]
		run(t, kind, bare, "clone", "-q", flag, dir)
		if !vcs.IsBare(bare) || vcs.IsBare(dir) {
			t.Errorf("bare: %v for the bare one, %v for the other", vcs.IsBare(bare), vcs.IsBare(dir))
		}
		same(t, "files in the bare repository", want, describe(t, open(t, bare, "")))
		if out := run(t, kind, bare, "log"); !strings.Contains(out, "a change") {
			t.Errorf("the log of the bare repository: %s", out)
		}
		if kind == vcs.Hg {
			return
		}
		tree := filepath.Join(t.TempDir(), "tree")
		run(t, kind, dir, "worktree", "add", "-q", tree)
		clean(t, kind, tree) // which is the first that we see of it
		same(t, "files of a worktree", want, describeDir(t, tree))
		same(t, "files of its revision", want, describe(t, open(t, tree, "")))
	})
}

func TestManyFilesAreReadAtOnce(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		dir := newImage(t)
		files := map[string]string{"large": strings.Repeat("0123456789abcdef", 1<<18)}
		for i := range 20 {
			files[fmt.Sprintf("file-%d", i)] = fmt.Sprintf("content %d", i)
		}
		plant(t, dir, files)
		run(t, kind, dir, "init")
		commit(t, kind, dir)
		r := open(t, dir, "")
		var g errgroup.Group
		for name, want := range files {
			g.Go(func() error {
				for range 5 {
					f, err := r.Open("/" + name)
					if err != nil {
						return err
					}
					head := make([]byte, 5)
					if _, err := io.ReadFull(f, head); err != nil || string(head) != want[:5] {
						return fmt.Errorf("%s begins with %q, %v", name, head, err)
					}
					if len(want) < 100 { // the large file is not read completely
						rest, err := io.ReadAll(f)
						if err != nil || string(rest) != want[5:] {
							return fmt.Errorf("%s goes on with %q, %v", name, rest, err)
						}
					}
					if err := f.Close(); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

// TestRepositoryOfTheBareTool reads a repository that this program has never
// touched.
func TestRepositoryOfTheBareTool(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		dir := newImage(t)
		plant(t, dir, map[string]string{"etc/hosts": "x", "bin/tool": "#!", "sub/.gitignore": "nothing\n"})
		must(t, os.Chmod(filepath.Join(dir, "bin/tool"), 0o755))
		script := map[vcs.Kind]string{
			vcs.Git: "git init -q && git add -A && git commit -q -m x",
			vcs.Hg:  "hg init && hg add -q && hg commit -m x",
		}[kind]
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		want := describeDir(t, dir)
		same(t, "files of the revision", want, describe(t, open(t, dir, "")))
		clean(t, kind, dir)
		same(t, "files after status", want, describeDir(t, dir))
		copied := filepath.Join(t.TempDir(), "clone")
		run(t, kind, copied, "clone", "-q", dir)
		same(t, "files of a clone", want, describeDir(t, copied))
	})
}
