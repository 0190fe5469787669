package gitindex

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// repository is a new repository of git.
type repository struct {
	t   *testing.T
	dir string
}

func newRepository(t *testing.T, options ...string) repository {
	t.Helper()
	r := repository{t, t.TempDir()}
	r.git(append([]string{"init", "-q"}, options...)...)
	return r
}

func (r repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("git %q: %v", args, err)
	}
	return string(out)
}

// write writes files whose content is their name.
func (r repository) write(names ...string) {
	r.t.Helper()
	for _, name := range names {
		file := filepath.Join(r.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(name), 0o644); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r repository) file() string { return filepath.Join(r.dir, ".git", "index") }

func (r repository) text() string {
	r.t.Helper()
	text, err := os.ReadFile(r.file())
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// check compares the names with those that git lists.
func (r repository) check() {
	r.t.Helper()
	x, err := Parse(r.text())
	if err != nil {
		r.t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(r.git("ls-files", "-z"), "\x00"), "\x00")
	if !slices.Equal(x.Names, want) {
		r.t.Errorf("names %q, but git lists %q", x.Names, want)
	}
}

// odd are names with unusual bytes and lengths.
var odd = []string{
	"A", "a-b", "a b", "a/b", "a/b-c", "a/c/d", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "abcdefgh", "abcdefghi",
	"line\nbreak", "tab\t", "quote\"", "back\\slash", "\xff\xfe", "ü", "z/" + strings.Repeat("long/", 700) + "x",
	"z/" + strings.Repeat("n", 200) + "1", "z/" + strings.Repeat("n", 200) + "2",
}

func TestNamesAreThoseOfGit(t *testing.T) {
	for _, version := range []string{"2", "3", "4"} {
		t.Run(version, func(t *testing.T) {
			r := newRepository(t)
			long := slices.IndexFunc(odd, func(name string) bool { return len(name) > 1000 })
			r.write(slices.Delete(slices.Clone(odd), long, long+1)...)
			r.git("add", "-A")
			// No filesystem has to hold a name of that length.
			blob := strings.TrimSpace(r.git("hash-object", "-w", "ab"))
			r.git("update-index", "--add", "--cacheinfo", "100644,"+blob+","+odd[long])
			if version != "2" {
				r.write("later")
				r.git("add", "-N", "later") // needs the flags of version 3
				r.git("update-index", "--skip-worktree", "ab")
			}
			if version == "4" {
				r.git("update-index", "--index-version=4")
			}
			if got := r.text()[7:8]; got != string(rune(version[0]-'0')) {
				t.Fatalf("the index has version %q", got)
			}
			r.check()
		})
	}
}

func TestConflict(t *testing.T) {
	r := newRepository(t)
	r.write("a", "b", "c")
	r.git("add", "-A")
	blob := strings.Fields(r.git("ls-files", "-s", "b"))[1]
	cmd := exec.Command("git", "update-index", "--index-info")
	cmd.Dir = r.dir
	cmd.Stdin = strings.NewReader("0 " + strings.Repeat("0", 40) + "\tb\n100644 " + blob + " 1\tb\n100644 " + blob + " 2\tb\n100755 " + blob + " 3\tb\n")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	r.check()
}

func TestExtensionsThatMayBePassedOver(t *testing.T) {
	r := newRepository(t)
	r.write("a", "b/c")
	r.git("add", "-A")
	r.git("commit", "-q", "-m", "x") // the cached trees
	r.git("update-index", "--untracked-cache")
	r.git("status")
	if !strings.Contains(r.text(), "TREE") || !strings.Contains(r.text(), "UNTR") {
		t.Fatal("the index lacks the extensions")
	}
	r.check()
}

func TestOnlyGitReadsTheseForms(t *testing.T) {
	t.Run("split", func(t *testing.T) {
		r := newRepository(t)
		r.write("a")
		r.git("add", "-A")
		r.git("update-index", "--split-index")
		refused(t, r.text())
	})
	t.Run("sparse", func(t *testing.T) {
		r := newRepository(t)
		r.write("a", "in/b", "out/c")
		r.git("add", "-A")
		r.git("commit", "-q", "-m", "x")
		r.git("sparse-checkout", "set", "--cone", "--sparse-index", "in")
		if !strings.Contains(r.text(), "sdir") {
			t.Fatal("the index is not sparse")
		}
		refused(t, r.text())
	})
	t.Run("sha256", func(t *testing.T) {
		r := newRepository(t, "--object-format=sha256")
		r.write("a", "b", "c/d")
		r.git("add", "-A")
		refused(t, r.text())
	})
	t.Run("cut off", func(t *testing.T) {
		r := newRepository(t)
		r.write(odd[0], odd[1], odd[2])
		r.git("add", "-A")
		for n := range len(r.text()) {
			refused(t, r.text()[:n])
		}
	})
}

func refused(t *testing.T, text string) {
	t.Helper()
	if x, err := Parse(text); !errors.Is(err, ErrUnknown) {
		t.Errorf("%d bytes: names %q, error %v", len(text), x.Names, err)
	}
}

func TestGitAcceptsOtherOwners(t *testing.T) {
	for _, version := range []string{"2", "4"} {
		r := newRepository(t)
		r.write("a", "b", "c")
		r.git("add", "-A")
		r.git("update-index", "--index-version="+version)
		x, err := Parse(r.text())
		if err != nil {
			t.Fatal(err)
		}
		before := x.Stat(0)
		text, whole := x.WithOwners([]Owner{{File: 1, UID: 1234, GID: 5678}})
		if err := os.WriteFile(r.file(), text, 0o600); err != nil || !whole {
			t.Fatal(whole, err)
		}
		if said := r.git("ls-files", "--debug", "b"); !strings.Contains(said, "uid: 1234\tgid: 5678") {
			t.Errorf("git reads %q", said)
		}
		r.git("-c", "index.skipHash=false", "fsck") // it checks the hash of the index
		if x, err = Parse(r.text()); err != nil || x.Stat(0) != before || x.Stat(1).UID != 1234 || x.Stat(1).GID != 5678 {
			t.Errorf("stat %+v, error %v", x.Stat(1), err)
		}
	}
}

// TestDamagedIndexStaysDamaged: git's check of the index must find what is wrong with it.
func TestDamagedIndexStaysDamaged(t *testing.T) {
	r := newRepository(t)
	r.write("a")
	r.git("add", "-A")
	text := []byte(r.text())
	text[40] ^= 1 // in the description of the file
	x, err := Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if text, whole := x.WithOwners([]Owner{{File: 0, UID: 1}}); whole {
		t.Errorf("the damaged index became %q", text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("DIRC\x00\x00\x00\x02\x00\x00\x00\x00" + strings.Repeat("x", 20))
	f.Add("DIRC\x00\x00\x00\x02\x00\x00\x00\x01" + strings.Repeat("s", 40) + strings.Repeat("h", 20) + "\x00\x01a" + strings.Repeat("\x00", 9+20))
	entry := strings.Repeat("s", 40) + strings.Repeat("h", 20)
	f.Add("DIRC\x00\x00\x00\x02\x00\x00\x00\x01" + entry + "\x00\x01a" + strings.Repeat("\x00", 9) + strings.Repeat("x", 20))
	f.Add("DIRC\x00\x00\x00\x04\x00\x00\x00\x01" + entry + "\x00\x01\x00a\x00" + strings.Repeat("x", 20))
	f.Fuzz(func(t *testing.T, text string) {
		x, err := Parse(text)
		if err != nil {
			return
		}
		if !slices.IsSorted(x.Names) || slices.Contains(x.Names, "") {
			t.Errorf("names %q", x.Names)
		}
		var same []Owner
		for i := range x.Names {
			s := x.Stat(i)
			same = append(same, Owner{i, s.UID, s.GID})
		}
		text2, whole := x.WithOwners(same)
		if !whole {
			return
		}
		again, err := Parse(string(text2))
		if err != nil || !slices.Equal(again.Names, x.Names) {
			t.Errorf("names %q became %q: %v", x.Names, again.Names, err)
		}
	})
}
