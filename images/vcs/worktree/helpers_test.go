//go:build linux

package worktree

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/vcs"
	"cloudlets/testdata/needs"
)

// mergeChild makes the test binary act as the merge tool.
const mergeChild = "merge-metadata-child"

func TestMain(m *testing.M) {
	if len(os.Args) == 6 && os.Args[1] == mergeChild {
		conflicts, err := MergeFiles(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		os.Exit(min(len(conflicts), 1))
	}
	if len(os.Args) > 3 && os.Args[1] == runChild {
		os.Exit(childMain(os.Args[2:]))
	}
	os.Exit(withHome(m))
}

// withHome isolates the tests from the configuration of the user who runs them.
// It uses one that would change every byte if it had any effect.
func withHome(m *testing.M) int {
	home, err := os.MkdirTemp("", "cloudlets-home-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	defer os.RemoveAll(home)
	errs := []error{
		os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(gitConfig), 0o644),
		os.WriteFile(filepath.Join(home, ".hgrc"), []byte(hgConfig), 0o644),
		os.Chmod(home, 0o755),
	}
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, "none"), "GIT_CONFIG_NOSYSTEM": "1",
		"HGRCPATH": filepath.Join(home, ".hgrc"), "EDITOR": "false", "TERM": "xterm",
	} {
		errs = append(errs, os.Setenv(name, value))
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return m.Run()
}

const (
	gitConfig = "[core]\n\tautocrlf = true\n\tfileMode = false\n\tsymlinks = false\n[user]\n\tname = Test\n\temail = test@example.net\n" +
		"[init]\n\tdefaultBranch = main\n[alias]\n\tci = commit\n"
	hgConfig = "[ui]\nusername = Test <test@example.net>\nportablefilenames = abort\n[extensions]\neol =\n"
)

// both are the systems with which most tests run.
var both = []vcs.Kind{vcs.Git, vcs.Hg}

// eachKind runs a test with both systems in parallel.
func eachKind(t *testing.T, test func(t *testing.T, kind vcs.Kind)) {
	t.Helper()
	t.Parallel()
	for _, kind := range both {
		t.Run(string(kind), func(t *testing.T) {
			needTool(t, kind)
			t.Parallel()
			test(t, kind)
		})
	}
}

// eachKindAtLength runs a test with git, and with Mercurial too if tests may take long: it
// starts a Python interpreter each time. It is for what differs little between the two.
func eachKindAtLength(t *testing.T, test func(t *testing.T, kind vcs.Kind)) {
	t.Helper()
	if atLength {
		eachKind(t, test)
		return
	}
	t.Parallel()
	needTool(t, vcs.Git)
	test(t, vcs.Git)
}

// needTool checks what the tests of a tool need.
func needTool(t testing.TB, kind vcs.Kind) {
	t.Helper()
	needs.Root(t) // for owners and devices
	needs.Tool(t, string(kind), vcs.Package(kind))
}

// options are the options with which the tests run a tool.
func options(t testing.TB, kind vcs.Kind, dir string, out io.Writer, args ...string) Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Kind: kind, Dir: dir, Args: args, Stdout: out, Stderr: out, Merge: []string{self, mergeChild},
		Notice: func(text string) { fmt.Fprintln(out, text) },
	}
}

// run runs a tool, which must succeed, and returns its output.
func run(t testing.TB, kind vcs.Kind, dir string, args ...string) string {
	t.Helper()
	code, out := try(t, kind, dir, args...)
	if code != 0 {
		t.Fatalf("%s %v: exit code %d: %s", kind, args, code, out)
	}
	return out
}

// try runs a tool, which may fail.
func try(t testing.TB, kind vcs.Kind, dir string, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code, err := Run(t.Context(), options(t, kind, dir, &out, args...))
	if err != nil {
		t.Fatalf("%s %v: %v: %s", kind, args, err, out.String())
	}
	return code, out.String()
}

// words returns the commands that differ between the systems.
func words(kind vcs.Kind, verb string, args ...string) []string {
	hg := map[string][]string{
		"add": {"addremove", "--similarity", "0"}, "commit": {"commit", "-m", "a change"}, "branch": {"branch"},
		"checkout": {"update"}, "status": {"status"}, "merge": {"merge"},
	}
	git := map[string][]string{
		"add": {"add", "-A"}, "commit": {"commit", "-q", "-m", "a change"}, "branch": {"checkout", "-q", "-b"},
		"checkout": {"checkout", "-q"}, "status": {"status", "--porcelain"}, "merge": {"merge", "-q", "-m", "a merge"},
	}
	m := git
	if kind == vcs.Hg {
		m = hg
	}
	return append(slices.Clone(m[verb]), args...)
}

// commit commits all files.
func commit(t testing.TB, kind vcs.Kind, dir string) {
	t.Helper()
	run(t, kind, dir, words(kind, "add")...)
	run(t, kind, dir, words(kind, "commit")...)
}

// clean checks that nothing differs from the last revision.
func clean(t testing.TB, kind vcs.Kind, dir string) {
	t.Helper()
	if out := run(t, kind, dir, words(kind, "status")...); out != "" {
		t.Errorf("%s status shows differences:\n%s", kind, out)
		t.Logf("%s", run(t, kind, dir, "diff"))
	}
}

// describe describes what must survive of each file of a source, by path.
func describe(t testing.TB, src images.Source) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := src.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
		if images.IsBookkeeping(e.Path) {
			return nil
		}
		text := fmt.Sprintf("type %d mode %#o owner %d:%d", e.Type, e.Mode, e.UID, e.GID)
		if e.Type == images.HardLink {
			text = "a hard link"
		}
		if e.Link != "" {
			text += " link " + e.Link
		}
		if e.Type != images.HardLink && e.Major|e.Minor != 0 {
			text += fmt.Sprintf(" device %d,%d", e.Major, e.Minor)
		}
		for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
			text += fmt.Sprintf(" %s=%q", name, e.Xattrs[name])
		}
		if content != nil {
			data, err := io.ReadAll(content)
			if err != nil {
				return err
			}
			if int64(len(data)) != e.Size {
				t.Errorf("%s has %d bytes and says %d", e.Path, len(data), e.Size)
			}
			text += fmt.Sprintf(" content %x", sha256.Sum256(data))
		}
		all[e.Path] = text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// describeDir describes a directory.
func describeDir(t testing.TB, dir string) map[string]string {
	t.Helper()
	src, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return describe(t, src)
}

// same compares two descriptions.
func same(t testing.TB, what string, want, got map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differ (-want +got):\n%s", what, diff)
	}
}

// plant makes files: a name that ends in "/" is a directory.
func plant(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		p := filepath.Join(dir, name)
		if strings.HasSuffix(name, "/") {
			must(t, os.MkdirAll(p, 0o755))
			continue
		}
		must(t, os.MkdirAll(filepath.Dir(p), 0o755))
		must(t, os.WriteFile(p, []byte(files[name]), 0o644))
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newImage returns an empty image directory within a temporary directory.
func newImage(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "image")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// manifest makes some files volatile.
const manifestFile = `{"volatile": ["/tmp/.+", "/var/log/(?!kept).+"]}` + "\n"

// everything makes an image with one file of each kind.
func everything(t testing.TB) string {
	t.Helper()
	needs.Root(t)
	dir := newImage(t)
	plant(t, dir, map[string]string{
		".cloudlet/manifest": manifestFile,
		"bin/su":             "#!/bin/sh\n", "bin/ping": "ping", "bin/perl": "#!perl\n",
		"etc/hosts": "127.0.0.1 localhost\r\n", "etc/shadow": "root:*:0:0\n", "etc/none": "nobody reads this\n",
		"etc/a name with spaces ": "x", "etc/non-\xff\xfe-utf8": "y", "etc/back\\slash*?[a]": "z", "etc/ünïcode": "u",
		"etc/$Id$":          "$Id$ $Date$\n",
		"srv/app/.git/HEAD": "ref: refs/heads/main\n", "srv/app/.git/modules/x/.git": "gitdir: elsewhere\n", "srv/app/.git/empty/": "",
		"srv/app/.gitignore": "*.o\n", "srv/app/main.o": "object", "srv/app/.gitattributes": "* text=auto eol=crlf\n*.txt filter=lfs ident\n",
		"srv/app/dos.txt": "a\r\nb\r\n$Id$\n", "srv/app/.hg/store": "store", "srv/app/.cloudlet-.git": "it has this name",
		"srv/GIT/.GIT/x": "x", "var/empty/": "", "var/log/kept": "kept", "var/log/boot": "volatile", "tmp/volatile/x": "x", "dev/": "",
	})
	for name, mode := range map[string]uint32{
		"bin/su": 0o4755, "bin/ping": 0o755, "bin/perl": 0o755, "etc/shadow": 0o640, "etc/none": 0, "tmp": 0o1777, "var/empty": 0o711, "srv/app": 0o2775,
	} {
		must(t, unix.Chmod(filepath.Join(dir, name), mode))
	}
	must(t, os.Link(filepath.Join(dir, "bin/perl"), filepath.Join(dir, "bin/perl5.36")))
	must(t, os.Symlink("hosts", filepath.Join(dir, "etc/link")))
	must(t, os.Symlink("/nowhere", filepath.Join(dir, "etc/.gitmodules")))
	must(t, os.Lchown(filepath.Join(dir, "etc/link"), 7, 8))
	must(t, os.Chown(filepath.Join(dir, "etc/shadow"), 0, 42))
	must(t, os.Chown(filepath.Join(dir, "srv/app"), 1000, 1001))
	must(t, unix.Chmod(filepath.Join(dir, "srv/app"), 0o2775))
	must(t, unix.Mknod(filepath.Join(dir, "dev/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, unix.Chmod(filepath.Join(dir, "dev/null"), 0o666))
	must(t, unix.Mknod(filepath.Join(dir, "dev/sda"), unix.S_IFBLK|0o660, int(unix.Mkdev(8, 300))))
	must(t, unix.Chown(filepath.Join(dir, "dev/sda"), 0, 6))
	must(t, unix.Mkfifo(filepath.Join(dir, "dev/initctl"), 0o600))
	must(t, os.Link(filepath.Join(dir, "dev/null"), filepath.Join(dir, "dev/null2")))
	must(t, unix.Setxattr(filepath.Join(dir, "etc/hosts"), "user.note", []byte("a\x00b"), 0))
	must(t, unix.Setxattr(filepath.Join(dir, "bin/ping"), "security.capability", capability, 0))
	return dir
}

// capability is cap_net_raw=ep.
var capability = []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// withoutVolatile removes what the manifest above makes volatile.
func withoutVolatile(all map[string]string) map[string]string {
	kept := maps.Clone(all)
	maps.DeleteFunc(kept, func(p, _ string) bool {
		return strings.HasPrefix(p, "/tmp/") || strings.HasPrefix(p, "/var/log/") && p != "/var/log/kept"
	})
	return kept
}
