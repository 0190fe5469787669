//go:build linux

package trees

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/metadata"
	"cloudlets/testdata/needs"
)

// header is the first line of a metadata file.
const header = "#cloudlet-metadata 1"

func parse(t testing.TB, text string) metadata.File {
	t.Helper()
	f, err := metadata.Parse(strings.NewReader(text))
	must(t, err)
	return f
}

func format(t testing.TB, f metadata.File) string {
	t.Helper()
	var b strings.Builder
	_, err := f.WriteTo(&b)
	must(t, err)
	return b.String()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bare makes a directory as a tool leaves it if its user's umask lets nobody
// else read.
func bare(t testing.TB, files ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "image")
	must(t, os.Mkdir(dir, 0o700))
	for _, name := range files {
		p := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(p), 0o700))
		must(t, os.WriteFile(p, []byte("content"), 0o600))
	}
	return dir
}

func applied(t testing.TB, dir string, text string) metadata.File {
	t.Helper()
	f := parse(t, header+"\n"+text)
	must(t, Apply(t.Context(), Target{Dir: dir}, f))
	return f
}

func scanned(t testing.TB, dir string) string {
	t.Helper()
	s, _, err := Scan(t.Context(), dir, metadata.File{})
	must(t, err)
	return strings.TrimPrefix(format(t, s.File(Scope{})), header+"\n")
}

func TestApplyAndScanAgree(t *testing.T) {
	needs.Root(t)
	dir := bare(t, "bin/ping", "bin/perl", "bin/perl5.36", "etc/shadow", "etc/hosts", "srv/x")
	must(t, os.Symlink("hosts", filepath.Join(dir, "etc/link")))
	text := `/ mode=0711
/bin/perl mode=0755
/bin/perl5.36 link=/bin/perl
/bin/ping mode=04711 xattr.security.capability=AQAAAgAgAAAAAAAAAAAAAAAAAAA=
/dev type=dir
/dev/also link=/dev/null
/dev/null type=char device=1,3 mode=0666
/dev/sda type=block device=8,300 gid=6 mode=0660
/etc/link uid=7 gid=8
/etc/shadow gid=42 mode=0640 xattr.user.note=AGE=
/run type=dir
/run/initctl type=fifo uid=3 mode=0600
/srv uid=1000 gid=1000 mode=02775
/var type=dir
/var/empty type=dir mode=0711
`
	// mode=0755 is said of perl, which nobody may execute in the repository.
	want := strings.Replace(text, "/bin/perl mode=0755\n", "", 1)
	want = strings.Replace(want, "/dev/also link=/dev/null\n/dev/null type=char device=1,3 mode=0666", "/dev/also type=char device=1,3 mode=0666\n/dev/null link=/dev/also", 1)
	for range 2 {
		applied(t, dir, text)
		if diff := cmp.Diff(want, scanned(t, dir)); diff != "" {
			t.Fatalf("what is there differs (-want +got):\n%s", diff)
		}
	}
	hosts, err := os.Lstat(filepath.Join(dir, "etc/hosts"))
	must(t, err)
	if hosts.Mode() != 0o644 {
		t.Errorf("a file that is not recorded has mode %v", hosts.Mode())
	}
	// What is no longer recorded goes back to the default.
	f := parse(t, header+"\n"+want)
	must(t, Apply(t.Context(), Target{Dir: dir, Before: f}, metadata.File{}))
	if got := scanned(t, dir); got != "" {
		t.Errorf("left of it is\n%s", got)
	}
	if _, err := os.Lstat(filepath.Join(dir, "dev")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory with devices is still there: %v", err)
	}
}

func TestApplyKeepsTimesAndContent(t *testing.T) {
	dir := bare(t, "a", "b")
	name := filepath.Join(dir, "a")
	before, err := os.Stat(name)
	must(t, err)
	applied(t, dir, "/a uid=5 mode=0640 xattr.user.x=eA==\n")
	after, err := os.Stat(name)
	must(t, err)
	if !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the time changed from %v to %v", before.ModTime(), after.ModTime())
	}
}

func TestLinksOfDifferentContentStayFiles(t *testing.T) {
	needs.Root(t)
	dir := bare(t, "a", "b")
	must(t, os.WriteFile(filepath.Join(dir, "b"), []byte("CONTENT"), 0o600))
	applied(t, dir, "/a uid=5\n/b link=/a\n")
	data, err := os.ReadFile(filepath.Join(dir, "b"))
	must(t, err)
	if string(data) != "CONTENT" {
		t.Errorf("b became %q", data)
	}
	if got, want := scanned(t, dir), "/a uid=5\n/b uid=5\n"; got != want {
		t.Errorf("there is\n%swant\n%s", got, want)
	}
}

func TestApplyStaysInside(t *testing.T) {
	needs.Root(t)
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "victim"), []byte("x"), 0o600))
	dir := bare(t, "file")
	must(t, os.Symlink(outside, filepath.Join(dir, "out")))
	must(t, os.Symlink(filepath.Join(outside, "victim"), filepath.Join(dir, "victim")))
	applied(t, dir, `/file/below type=dir
/out/dir type=dir
/out/fifo type=fifo
/out/victim uid=5 mode=04777
/victim uid=5 mode=04777 xattr.trusted.x=eA==
/linked link=/out/victim
`)
	names, err := os.ReadDir(outside)
	must(t, err)
	if len(names) != 1 {
		t.Errorf("outside there is now %v", names)
	}
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(outside, "victim"), &st))
	if st.Uid == 5 || st.Mode&0o7777 != 0o600 || st.Nlink != 1 {
		t.Errorf("the file outside has owner %d, mode %#o, %d links", st.Uid, st.Mode&0o7777, st.Nlink)
	}
	must(t, unix.Lstat(filepath.Join(dir, "victim"), &st))
	if st.Uid != 5 {
		t.Errorf("the link itself belongs to %d, want 5", st.Uid)
	}
	// Nor does removing lead out.
	must(t, os.Mkdir(filepath.Join(outside, "dir"), 0o700))
	before := parse(t, header+"\n/out/dir type=dir\n")
	must(t, Apply(t.Context(), Target{Dir: dir, Before: before}, metadata.File{}))
	if _, err := os.Lstat(filepath.Join(outside, "dir")); err != nil {
		t.Errorf("a directory outside was removed: %v", err)
	}
}

func TestScopeLeavesAlone(t *testing.T) {
	needs.Root(t)
	dir := bare(t, "kept", "other", "tmp/volatile", "mine/file")
	scope := Scope{
		Kept:     func(p string) bool { return p == "/kept" },
		Volatile: func(p string) bool { return strings.HasPrefix(p, "/tmp/") },
	}
	for _, name := range []string{"other", "tmp/volatile", "mine", "mine/file"} {
		must(t, os.Chown(filepath.Join(dir, name), 5, 5))
	}
	must(t, Apply(t.Context(), Target{Dir: dir, Scope: scope}, metadata.File{}))
	s, _, err := Scan(t.Context(), dir, metadata.File{})
	must(t, err)
	if got, want := format(t, s.File(scope)), header+"\n/tmp type=dir mode=0700\n"; got != want {
		t.Errorf("in scope there is\n%swant\n%s", got, want)
	}
	var st unix.Stat_t
	for _, name := range []string{"other", "tmp/volatile", "mine", "mine/file"} {
		must(t, unix.Lstat(filepath.Join(dir, name), &st))
		if st.Uid != 5 || st.Mode&0o77 != 0 {
			t.Errorf("%s belongs to %d and has mode %#o", name, st.Uid, st.Mode)
		}
	}
}

// entries walks a source and writes down what there is.
func entries(t testing.TB, src images.Source) []string {
	t.Helper()
	var all []string
	seen := map[string]bool{}
	err := src.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
		if e.Path != "/" && !seen[parent(e.Path)] {
			t.Errorf("%s comes before its directory", e.Path)
		}
		if e.Type == images.HardLink && !seen[e.Link] {
			t.Errorf("%s comes before %s, which it is a link to", e.Path, e.Link)
		}
		seen[e.Path] = true
		text := fmt.Sprintf("%s %d %#o %d:%d %s", e.Path, e.Type, e.Mode, e.UID, e.GID, e.Link)
		if content != nil {
			data, err := io.ReadAll(content)
			if err != nil || int64(len(data)) != e.Size {
				t.Errorf("%s reads as %d bytes, %v", e.Path, len(data), err)
			}
		}
		all = append(all, strings.TrimSpace(text))
		return nil
	})
	must(t, err)
	return all
}

func TestWrap(t *testing.T) {
	needs.Root(t)
	dir := bare(t, "bin/z", "bin/a", "etc/shadow", ".git/config")
	for _, name := range []string{"", "bin", "etc", "bin/z", "bin/a", "etc/shadow"} { // as a repository shows them
		must(t, os.Chmod(filepath.Join(dir, name), map[bool]os.FileMode{true: 0o644, false: 0o755}[strings.Contains(name, "/")]))
	}
	src, err := dirtree.Open(dir)
	must(t, err)
	v := Wrap(src, parse(t, header+`
/bin/a link=/bin/z
/bin/z uid=3
/dev/null type=char device=1,3 mode=0666
/dev/zero link=/dev/null
/etc/shadow gid=42 mode=0640
/etc/shadow/below type=dir
/gone uid=5
/var/empty type=dir mode=0711
`))
	want := []string{
		"/ 2 0755 0:0", "/bin 2 0755 0:0", "/bin/a 1 0644 3:0", "/bin/z 4 0644 3:0 /bin/a",
		"/dev 2 0755 0:0", "/dev/null 5 0666 0:0", "/dev/zero 4 0666 0:0 /dev/null",
		"/etc 2 0755 0:0", "/etc/shadow 1 0640 0:42", "/var 2 0755 0:0", "/var/empty 2 0711 0:0",
	}
	if diff := cmp.Diff(want, entries(t, v)); diff != "" {
		t.Errorf("it shows (-want +got):\n%s", diff)
	}
	for _, line := range want {
		p, _, _ := strings.Cut(line, " ")
		e, err := v.Entry(p)
		if err != nil || e.Path != p {
			t.Errorf("%s is walked and not found: %v", p, err)
		}
	}
	for _, p := range []string{"/gone", "/.git/config", "/etc/shadow/below", metadata.Path} {
		if _, err := v.Entry(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", p, err)
		}
	}
	list, err := v.ReadDir("/var")
	if err != nil || len(list) != 1 || list[0].Path != "/var/empty" {
		t.Errorf("/var holds %v, %v", list, err)
	}
}

// TestWrapOfAUsersDirectory wraps an ordinary user's directory: the recorded
// metadata apply, unless the user has changed a file since.
func TestWrapOfAUsersDirectory(t *testing.T) {
	needs.Root(t)
	dir := bare(t, "su", "shadow", "changed", "other")
	for name, mode := range map[string]uint32{"": 0o755, "su": 0o755, "shadow": 0o640, "changed": 0o600, "other": 0o644} {
		must(t, unix.Chmod(filepath.Join(dir, name), mode))
		must(t, os.Chown(filepath.Join(dir, name), 1000, 1000))
	}
	must(t, os.Chown(filepath.Join(dir, "other"), 77, 78))
	src, err := dirtree.Open(dir)
	must(t, err)
	v := Wrap(src, parse(t, header+"\n/changed gid=1 mode=0640\n/dev/null type=char device=1,3\n/shadow gid=42 mode=0640\n/su mode=04755\n"))
	want := []string{
		"/ 2 0755 0:0", "/changed 1 0600 0:1", "/dev 2 0755 0:0", "/dev/null 5 0644 0:0", "/other 1 0644 77:78", "/shadow 1 0640 0:42", "/su 1 04755 0:0",
	}
	if diff := cmp.Diff(want, entries(t, v)); diff != "" {
		t.Errorf("it shows (-want +got):\n%s", diff)
	}
}

func TestCollectOfASource(t *testing.T) {
	needs.Root(t)
	dir := bare(t, "b/x", "a")
	applied(t, dir, "/a uid=1\n/b/link link=/a\n/c type=dir\n/d type=fifo\n")
	must(t, os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b/link")))
	src, err := dirtree.Open(dir)
	must(t, err)
	f, err := Collect(t.Context(), src)
	must(t, err)
	if got, want := format(t, f), header+"\n/a uid=1\n/b/link link=/a\n/c type=dir\n/d type=fifo\n"; got != want {
		t.Errorf("collected\n%swant\n%s", got, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Collect(ctx, src); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled collection: %v", err)
	}
}

func TestWalkOrder(t *testing.T) {
	paths := []string{"/a/b", "/a.b", "/", "/a", "/a/b/c", "/a-"}
	slices.SortFunc(paths, images.ComparePaths)
	if diff := cmp.Diff([]string{"/", "/a", "/a/b", "/a/b/c", "/a-", "/a.b"}, paths); diff != "" {
		t.Error(diff)
	}
}
