//go:build linux

package worktree

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"cloudlets/images/vcs"

	"golang.org/x/sys/unix"
)

// TestRandomTreesSurvive commits random trees one after another, and switches
// between the revisions.
func TestRandomTreesSurvive(t *testing.T) {
	eachKindAtLength(t, func(t *testing.T, kind vcs.Kind) {
		rounds := 3
		if atLength {
			rounds = map[vcs.Kind]int{vcs.Git: 8, vcs.Hg: 1}[kind]
		}
		dir := newImage(t)
		run(t, kind, dir, "init", "-q")
		var trees []map[string]string
		for seed := range rounds {
			wipe(t, dir)
			g := &grower{t: t, rand: rand.New(rand.NewPCG(uint64(seed), 7)), kind: kind}
			g.folder(dir, 0)
			plant(t, dir, map[string]string{".cloudlet/manifest": "{}"})
			trees = append(trees, describeDir(t, dir))
			commit(t, kind, dir)
			run(t, kind, dir, append(map[vcs.Kind][]string{vcs.Git: {"tag"}, vcs.Hg: {"tag", "--local"}}[kind], fmt.Sprintf("r%d", seed))...)
			same(t, "files after commit", trees[seed], describeDir(t, dir))
		}
		for seed, want := range trees {
			revision := fmt.Sprintf("r%d", seed)
			same(t, "files of "+revision, want, describe(t, open(t, dir, revision)))
			run(t, kind, dir, words(kind, "checkout", revision)...)
			same(t, "files after a checkout of "+revision, want, describeDir(t, dir))
			clean(t, kind, dir)
		}
		copied := filepath.Join(t.TempDir(), "clone")
		run(t, kind, copied, "clone", "-q", dir)
		same(t, "files of a clone", describe(t, open(t, copied, "")), describeDir(t, copied))
	})
}

// wipe removes everything from an image's directory except the repository.
func wipe(t testing.TB, dir string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range names {
		if e.Name() != ".git" && e.Name() != ".hg" && e.Name() != ".hgtags" {
			must(t, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
}

// grower makes a random tree.
type grower struct {
	t     testing.TB
	rand  *rand.Rand
	kind  vcs.Kind
	count int
	files []string
}

func (g *grower) pick(n int) int { return g.rand.IntN(n) }

func (g *grower) name() string {
	g.count++
	odd := []string{"", " ", "\xff", "ä", "*", "[x]", "\\", "%", "~1", ".", "\t", "#", "=", "'"}
	special := []string{".git", ".hg", ".gitignore", ".gitattributes", ".cloudlet-.git", ".hgignore-", "a.b", "a", "b"}
	if g.kind == vcs.Git {
		odd = append(odd, "\n", "\r")
	}
	if g.count > 4 && g.pick(5) == 0 { // below the root
		return special[g.pick(len(special))] + map[bool]string{true: "", false: fmt.Sprint(g.count)}[g.pick(2) == 0]
	}
	return fmt.Sprintf("f%d%s", g.pick(40), odd[g.pick(len(odd))])
}

// folder fills a directory.
func (g *grower) folder(dir string, depth int) {
	for range g.pick(7) + 2*max(0, 2-depth) {
		name := g.name()
		if depth == 0 && name[0] == '.' {
			continue
		}
		p := filepath.Join(dir, name)
		if _, err := os.Lstat(p); err == nil {
			continue
		}
		g.one(p, depth)
	}
}

func (g *grower) one(p string, depth int) {
	t := g.t
	switch kind := g.pick(12); {
	case kind < 4 && depth < 4:
		must(t, os.Mkdir(p, 0o755))
		g.folder(p, depth+1)
	case kind == 4:
		must(t, os.Symlink([]string{"/etc", "nowhere", "../x", "\xfe"}[g.pick(4)], p))
	case kind == 5:
		must(t, unix.Mknod(p, unix.S_IFCHR|0o600, int(unix.Mkdev(uint32(g.pick(300)), uint32(g.pick(70000))))))
	case kind == 6:
		must(t, unix.Mkfifo(p, 0o600))
	case kind == 7 && len(g.files) > 0:
		must(t, os.Link(g.files[g.pick(len(g.files))], p))
		return
	default:
		must(t, os.WriteFile(p, []byte([]string{"", "same", "a\r\n", fmt.Sprint(g.rand.Uint64())}[g.pick(4)]), 0o644))
		g.files = append(g.files, p)
	}
	g.attributes(p)
}

// attributes gives a file some attributes that are not the default.
func (g *grower) attributes(p string) {
	t := g.t
	if g.pick(3) == 0 {
		must(t, os.Lchown(p, g.pick(70000), g.pick(3)))
	}
	var st unix.Stat_t
	must(t, unix.Lstat(p, &st))
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return
	}
	modes := []uint32{0o644, 0o755, 0o755, 0o600, 0o4755, 0o2711, 0o1777, 0}
	must(t, unix.Chmod(p, modes[g.pick(len(modes))]))
	if k := st.Mode & unix.S_IFMT; g.pick(6) == 0 && (k == unix.S_IFREG || k == unix.S_IFDIR) {
		must(t, unix.Setxattr(p, "user.note", []byte{byte(g.pick(256)), 0}, 0))
	}
}
