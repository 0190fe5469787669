//go:build linux

package vcs

import (
	"encoding/binary"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/images"
)

func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		kind    Kind
		args    string
		effect  effect
		commits bool
	}{
		{Git, "log -p", nothing, false},
		{Git, "-c a=b --no-pager log", nothing, false},
		{Git, "status", looks, false},
		{Git, "-C sub commit -m x", looks, true},
		{Git, "add .", moves, false},
		{Git, "checkout main", changes, false},
		{Git, "rebase --continue", changes, true},
		{Git, "frobnicate", changes, false},
		{Git, "ci -m x", looks, true},
		{Git, "init", creates, false},
		{Git, "clone x", clones, false},
		{Git, "--version", nothing, false},
		{Hg, "ci -m x", looks, true},
		{Hg, "commi -m x", looks, true},
		{Hg, "--cwd x status", looks, false},
		{Hg, "update", changes, false},
		{Hg, "mv a b", moves, false},
	} {
		alias := func(name string) string { return map[string]string{"ci": "commit"}[name] }
		p := planOf(tt.kind, strings.Fields(tt.args), alias)
		if p.effect != tt.effect || p.commits != tt.commits {
			t.Errorf("%s %s: effect %d, commits %v; want %d, %v", tt.kind, tt.args, p.effect, p.commits, tt.effect, tt.commits)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, seed := range []string{".git", ".GIT", ".cloudlet-.git", "a\nb", "%0a", "hg~1", ".hg.", ".gitignore", "\xff"} {
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, name string, hg bool) {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return
		}
		kind := map[bool]Kind{true: Hg, false: Git}[hg]
		hidden := escape(name)
		if strings.ContainsAny(hidden, "\n\r/") || strings.HasPrefix(strings.ToLower(hidden), ".git") || strings.HasPrefix(strings.ToLower(hidden), ".hg") {
			t.Fatalf("%q becomes %q, which a tool would refuse", name, hidden)
		}
		if plain, ok := unescape(hidden); !ok || plain != name {
			t.Fatalf("%q becomes %q and then %q", name, hidden, plain)
		}
		if plain, ok := unescape(name); ok && !mustEscape(kind, name, images.Regular, false) {
			t.Fatalf("%q is not escaped, and is read as %q", name, plain)
		}
	})
}

// FuzzGitNode parses arbitrary rows of a tree.
func FuzzGitNode(f *testing.F) {
	for _, seed := range []string{
		"100644 blob e69de29bb2d1d6434b8b29ae775ad8c2e48c5391       0\tetc/hosts", "120000 blob x 3\ta", "160000 commit x -\tsub",
		"100644 blob x 1\t../etc/passwd", "100644 blob x 1\t.cloudlet-../x", "100644 blob x 1\t.cloudlet-/x", "100644 blob x -1\ta//b", "100644 0 0 -1\t0",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, row string) {
		n, err := gitNode(row)
		if err != nil {
			return
		}
		for part := range strings.SplitSeq(n.entry.Path[1:], "/") {
			if part == "" || part == "." || part == ".." {
				t.Fatalf("%q is taken for the path %q", row, n.entry.Path)
			}
		}
		if n.entry.Size < 0 {
			t.Fatalf("%q has the size %d", row, n.entry.Size)
		}
	})
}

// TestHostileRepository clones a repository that tries to place files where
// they control programs.
func TestHostileRepository(t *testing.T) {
	eachKind(t, func(t *testing.T, kind Kind) {
		dir := newImage(t)
		plant(t, dir, map[string]string{
			".cloudlet-.git/config": "[core]\n\tfsmonitor = touch owned\n", ".cloudlet-.hg/hgrc": "x", ".cloudlet-../x": "x", "a/.cloudlet-./y": "y",
			metadataName: "#cloudlet-metadata 1\n/a link=/b\n/b type=fifo\n/c type=char device=1,3\n",
		})
		script := map[Kind]string{
			Git: "git init -q && git add -A && git commit -q -m x",
			Hg:  "hg init && hg add -q --config ui.portablefilenames=ignore && hg commit -m x",
		}[kind]
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		copied := filepath.Join(t.TempDir(), "clone")
		run(t, kind, copied, "clone", "-q", dir)
		other := map[Kind]string{Git: ".hg", Hg: ".git"}[kind]
		if exists(copied, other) || exists(filepath.Dir(copied), "x") {
			t.Errorf("the repository brought %s", other)
		}
		run(t, kind, copied, words(kind, "status")...)
		if r, err := Open(t.Context(), dir, ""); err == nil {
			if _, err := r.Entry("/.git/config"); err == nil {
				t.Error("the image has a repository in it")
			}
			must(t, r.Close())
		}
	})
}

// FuzzDirstate reads Mercurial's list of files.
func FuzzDirstate(f *testing.F) {
	row := func(state byte, name string) []byte {
		b := append([]byte{state}, make([]byte, 12)...)
		return append(binary.BigEndian.AppendUint32(b, uint32(len(name))), name...)
	}
	head := make([]byte, dirstateHead)
	f.Add(slices.Concat(head, row('n', "a"), row('r', "gone"), row('a', "b\x00a")))
	f.Add(head)
	f.Add(head[:3])
	f.Fuzz(func(t *testing.T, text []byte) {
		files, err := parseDirstate(text)
		if err == nil && len(files) > len(text)/dirstateRow {
			t.Fatalf("%d files in %d bytes", len(files), len(text))
		}
	})
}

func TestDirstate(t *testing.T) {
	needTool(t, Hg)
	t.Parallel()
	dir := newImage(t)
	plant(t, dir, map[string]string{"a": "", "b": "", "sub/c": ""})
	run(t, Hg, dir, "init")
	commit(t, Hg, dir)
	run(t, Hg, dir, "mv", "a", "copy of a")
	files, err := readDirstate(dir + "/.hg")
	must(t, err)
	slices.Sort(files)
	if got := strings.Join(files, ", "); got != "b, copy of a, sub/c" {
		t.Errorf("Mercurial tracks %s", got)
	}
}
