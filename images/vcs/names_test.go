//go:build linux

package vcs

import (
	"strings"
	"testing"

	"cloudlets/images"
)

func FuzzNames(f *testing.F) {
	for _, seed := range []string{".git", ".GIT", ".cloudlet-.git", "a\nb", "%0a", "hg~1", ".hg.", ".gitignore", "\xff"} {
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, name string, hg bool) {
		if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") {
			return
		}
		kind := map[bool]Kind{true: Hg, false: Git}[hg]
		hidden := Escape(name)
		if strings.ContainsAny(hidden, "\n\r/") || strings.HasPrefix(strings.ToLower(hidden), ".git") || strings.HasPrefix(strings.ToLower(hidden), ".hg") {
			t.Fatalf("%q becomes %q, which a tool would refuse", name, hidden)
		}
		if plain, ok := Unescape(hidden); !ok || plain != name {
			t.Fatalf("%q becomes %q and then %q", name, hidden, plain)
		}
		if plain, ok := Unescape(name); ok && !MustEscape(kind, name, images.Regular, false) {
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
