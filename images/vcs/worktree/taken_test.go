//go:build linux

package worktree

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images/vcs"
)

// history makes an image with two revisions, v1 and v2. All metadata of the
// files differ between them; of etc/same only these do.
func history(t *testing.T, kind vcs.Kind) string {
	t.Helper()
	needTool(t, kind)
	dir := newImage(t)
	plant(t, dir, map[string]string{
		"etc/shadow": "one\n", "etc/same": "same\n", "bin/su": "su one\n", "srv/key": "key\n", "etc/.gitignore": "*.o\n", "etc/other": "other\n", "etc/list": "",
	})
	must(t, unix.Setxattr(filepath.Join(dir, "etc/shadow"), "user.note", []byte("one"), 0))
	set(t, dir, "etc/shadow", 0o640, 42)
	set(t, dir, "etc/same", 0o600, 1)
	set(t, dir, "bin/su", 0o4755, 0)
	set(t, dir, "srv/key", 0o400, 3)
	set(t, dir, "srv", 0o750, 3)
	set(t, dir, "etc/.gitignore", 0o600, 9)
	must(t, os.Link(filepath.Join(dir, "bin/su"), filepath.Join(dir, "bin/su2")))
	run(t, kind, dir, "init")
	commit(t, kind, dir)
	tag(t, kind, dir, "v1")
	plant(t, dir, map[string]string{"etc/shadow": "two\n", "etc/second": "x"})
	must(t, unix.Removexattr(filepath.Join(dir, "etc/shadow"), "user.note"))
	set(t, dir, "etc/shadow", 0o600, 7)
	set(t, dir, "etc/same", 0o644, 2)
	set(t, dir, "srv/key", 0o440, 4)
	set(t, dir, "etc/second", 0o600, 5)
	commit(t, kind, dir)
	tag(t, kind, dir, "v2")
	set(t, dir, "etc/other", 0o600, 8) // a change that is not committed
	return dir
}

func set(t *testing.T, dir, name string, mode uint32, gid int) {
	t.Helper()
	must(t, os.Lchown(filepath.Join(dir, name), 0, gid))
	must(t, unix.Chmod(filepath.Join(dir, name), mode))
}

// tag names the last revision. Mercurial's revisions have numbers.
func tag(t *testing.T, kind vcs.Kind, dir, name string) {
	t.Helper()
	if kind == vcs.Git {
		run(t, kind, dir, "tag", name)
	}
}

// copied returns a copy of an image.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "image")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", dir, to).CombinedOutput(); err != nil {
		t.Fatalf("copy the image: %v: %s", err, out)
	}
	return to
}

// shows describes a file in short.
func shows(t *testing.T, dir, name string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
		return "absent"
	}
	text := fmt.Sprintf("%o %d", st.Mode&0o7777, st.Gid)
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return text
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	must(t, err)
	value := make([]byte, 16)
	if n, err := unix.Getxattr(filepath.Join(dir, name), "user.note", value); err == nil {
		text += " note " + string(value[:n])
	}
	return text + " " + strings.TrimSpace(string(data))
}

const (
	shadow1 = "640 42 note one one"
	shadow2 = "600 7 two"
)

// TestFileComesBackWithItsMetadata takes single files back in all ways that git
// and Mercurial have for it. Each has the metadata of the revision that it came
// from, and no other file changes. Mercurial is slow, so it has two of its ways here, and
// all of them where tests may take long.
func TestFileComesBackWithItsMetadata(t *testing.T) {
	t.Parallel()
	original := map[vcs.Kind]string{vcs.Git: history(t, vcs.Git), vcs.Hg: history(t, vcs.Hg)}
	for name, tt := range map[string]struct {
		kind   vcs.Kind
		remove string // these files are removed first
		do     string // the commands, one a line
		want   map[string]string
	}{
		"restore":          {vcs.Git, "etc/shadow", "restore etc/shadow", map[string]string{"etc/shadow": shadow2}},
		"setuid":           {vcs.Git, "bin/su bin/su2", "restore bin/su", map[string]string{"bin/su": "4755 0 su one"}},
		"folder":           {vcs.Git, "srv/key srv", "restore srv", map[string]string{"srv/key": "440 4 key", "srv": "750 3"}},
		"source":           {vcs.Git, "", "restore --source=v1 etc/shadow", map[string]string{"etc/shadow": shadow1}},
		"source short":     {vcs.Git, "etc/shadow", "restore -qsv1 -- etc/shadow", map[string]string{"etc/shadow": shadow1}},
		"abbreviated":      {vcs.Git, "", "restore --sour v1 etc/shadow", map[string]string{"etc/shadow": shadow1}},
		"same content":     {vcs.Git, "", "restore --source v1 etc/same", map[string]string{"etc/same": "600 1 same"}},
		"mode alone":       {vcs.Git, "", "restore etc/other", map[string]string{"etc/other": "644 0 other"}},
		"staged":           {vcs.Git, "", "restore --source=v1 --staged etc/shadow\nrestore etc/shadow", map[string]string{"etc/shadow": shadow1}},
		"staged worktree":  {vcs.Git, "etc/shadow", "restore -SW etc/shadow", map[string]string{"etc/shadow": shadow2}},
		"checkout":         {vcs.Git, "etc/shadow", "checkout -- etc/shadow", map[string]string{"etc/shadow": shadow2}},
		"checkout path":    {vcs.Git, "etc/shadow", "checkout etc/shadow", map[string]string{"etc/shadow": shadow2}},
		"checkout rev":     {vcs.Git, "", "checkout v1 -- etc/shadow", map[string]string{"etc/shadow": shadow1}},
		"checkout rev2":    {vcs.Git, "bin/su", "checkout HEAD~1 etc/shadow bin/su", map[string]string{"etc/shadow": shadow1, "bin/su": "4755 0 su one"}},
		"glob":             {vcs.Git, "", "checkout v1 -- *shad*", map[string]string{"etc/shadow": shadow1}},
		"subfolder":        {vcs.Git, "etc/shadow", "-C etc checkout v1 -- shadow", map[string]string{"etc/shadow": shadow1}},
		"list":             {vcs.Git, "etc/shadow", "restore --source=v1 --pathspec-from-file=etc/list", map[string]string{"etc/shadow": shadow1}},
		"hidden name":      {vcs.Git, "etc/.gitignore", "restore etc", map[string]string{"etc/.gitignore": "600 9 *.o", "etc/other": "644 0 other"}},
		"everything":       {vcs.Git, "bin/su", "checkout v1 -- .", map[string]string{"etc/shadow": shadow1, "etc/same": "600 1 same", "etc/second": "600 5 x", "etc/other": "644 0 other"}},
		"reset":            {vcs.Git, "etc/shadow", "reset --hard", map[string]string{"etc/shadow": shadow2, "etc/other": "644 0 other"}},
		"reset path":       {vcs.Git, "", "reset -q v1 -- etc/shadow\nrestore etc/shadow", map[string]string{"etc/shadow": shadow1}},
		"stash":            {vcs.Git, "etc/shadow", "stash -q\nstash pop -q\nrestore etc/shadow", map[string]string{"etc/shadow": shadow2}},
		"stash alone":      {vcs.Git, "etc/shadow", "stash -q", map[string]string{"etc/shadow": shadow2, "etc/other": "644 0 other"}},
		"stash path":       {vcs.Git, "etc/shadow", "stash push -q -- etc/shadow", map[string]string{"etc/shadow": shadow2}},
		"checkout-index":   {vcs.Git, "etc/shadow", "checkout-index etc/shadow", map[string]string{"etc/shadow": shadow2}},
		"alias":            {vcs.Git, "", "-c alias.old=!x -c alias.back=restore\\ --source=v1 back etc/shadow", map[string]string{"etc/shadow": shadow1}},
		"revert":           {vcs.Git, "", "restore etc\nrevert --no-edit HEAD", map[string]string{"etc/shadow": shadow1, "etc/other": "644 0 other"}},
		"cherry-pick":      {vcs.Git, "", "restore etc\ncheckout -q v1\ncherry-pick v2", map[string]string{"etc/shadow": shadow2, "etc/second": "600 5 x", "etc/other": "644 0 other"}},
		"commit of others": {vcs.Git, "etc/shadow", "commit -q -m x etc/other\nrestore etc/shadow", map[string]string{"etc/shadow": shadow2}},
		"rename branch":    {vcs.Git, "", "restore etc\ncheckout -q -b etc/x v1", map[string]string{"etc/shadow": shadow1, "etc/other": "644 0 other"}},
		"fails":            {vcs.Git, "", "restore --source=v1 etc/shadow etc/absent", map[string]string{"etc/shadow": shadow2}},

		"hg revert":        {vcs.Hg, "etc/shadow", "revert etc/shadow", map[string]string{"etc/shadow": shadow2}},
		"hg revert rev":    {vcs.Hg, "", "revert -r 0 etc/shadow", map[string]string{"etc/shadow": shadow1}},
		"hg same content":  {vcs.Hg, "", "revert --rev=0 etc/same", map[string]string{"etc/same": "600 1 same"}},
		"hg revert setuid": {vcs.Hg, "bin/su bin/su2", "rever bin/su", map[string]string{"bin/su": "4755 0 su one"}},
		"hg include":       {vcs.Hg, "", "revert -r0 -I glob:etc/sh*", map[string]string{"etc/shadow": shadow1}},
		"hg subfolder":     {vcs.Hg, "etc/shadow", "--cwd etc revert -r 0 glob:shad*", map[string]string{"etc/shadow": shadow1}},
		"hg revert all":    {vcs.Hg, "bin/su", "revert --all -r 0", map[string]string{"etc/shadow": shadow1, "bin/su": "4755 0 su one", "etc/other": "644 0 other", "etc/second": "absent"}},
		"hg update":        {vcs.Hg, "etc/shadow", "update -C .", map[string]string{"etc/shadow": shadow2, "etc/other": "644 0 other"}},
		"hg graft":         {vcs.Hg, "", "revert --all\nupdate -q 0\ngraft 1", map[string]string{"etc/shadow": shadow2, "etc/second": "600 5 x", "etc/other": "644 0 other"}},
	} {
		if tt.kind == vcs.Hg && !atLength && name != "hg revert rev" && name != "hg update" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copied(t, original[tt.kind])
			must(t, os.WriteFile(filepath.Join(dir, "etc/list"), []byte("etc/shadow\n"), 0o644))
			for file := range strings.FieldsSeq(tt.remove) {
				must(t, os.Remove(filepath.Join(dir, file)))
			}
			before := map[string]string{}
			all := []string{"etc/shadow", "etc/same", "bin/su", "srv/key", "srv", "etc/.gitignore", "etc/other", "etc/second"}
			for _, file := range all {
				before[file] = shows(t, dir, file)
			}
			for line := range strings.SplitSeq(tt.do, "\n") {
				args := strings.Fields(strings.ReplaceAll(line, `\ `, "\x00"))
				for i := range args {
					args[i] = strings.ReplaceAll(args[i], "\x00", " ")
				}
				if code, out := try(t, tt.kind, dir, args...); code != 0 && name != "fails" {
					t.Fatalf("%s: exit code %d: %s", line, code, out)
				}
			}
			for _, file := range all {
				want, changes := tt.want[file]
				if !changes {
					want = before[file]
				}
				if got := shows(t, dir, file); got != want && (changes || !isWhole(name)) {
					t.Errorf("%s is %q, want %q", file, got, want)
				}
			}
		})
	}
}

// isWhole reports whether a case changes the whole tree, so that it names all
// that it is about.
func isWhole(name string) bool {
	switch name {
	case "everything", "reset", "stash", "stash alone", "revert", "cherry-pick", "rename branch", "hg revert all", "hg update", "hg graft", "hidden name":
		return true
	}
	return false
}

// TestPartOfFileKeepsMetadata selects parts of files. A file that was removed
// comes back with its metadata; one of which only a part is taken keeps what it
// has, and one that is taken as a whole has those of the revision.
func TestPartOfFileKeepsMetadata(t *testing.T) {
	t.Parallel()
	original := history(t, vcs.Git)
	for name, tt := range map[string]struct {
		content    string // "" means that the file is removed
		args, keys string
		want       string
	}{
		"removed": {"", "restore -p etc/shadow", "y\n", shadow2},
		"whole":   {"three\n", "restore -p etc/shadow", "y\n", shadow2},
		"refused": {"three\n", "restore -p etc/shadow", "n\n", "606 6 three"},
		"old":     {"two\n", "checkout -p v1 -- etc/shadow", "y\n", shadow1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copied(t, original)
			must(t, os.Remove(filepath.Join(dir, "etc/shadow")))
			if tt.content != "" {
				plant(t, dir, map[string]string{"etc/shadow": tt.content})
				set(t, dir, "etc/shadow", 0o606, 6)
			}
			var out bytes.Buffer
			opt := options(t, vcs.Git, dir, &out, strings.Fields(tt.args)...)
			opt.Stdin = strings.NewReader(tt.keys)
			if code, err := Run(t.Context(), opt); code != 0 || err != nil {
				t.Fatalf("exit code %d: %v: %s", code, err, out.String())
			}
			if got := shows(t, dir, "etc/shadow"); got != tt.want {
				t.Errorf("etc/shadow is %q, want %q\n%s", got, tt.want, out.String())
			}
		})
	}
}

// TestListOnStandardInput: the tool reads the list as well.
func TestListOnStandardInput(t *testing.T) {
	t.Parallel()
	dir := history(t, vcs.Git)
	var out bytes.Buffer
	opt := options(t, vcs.Git, dir, &out, "checkout", "v1", "--pathspec-from-file=-", "--pathspec-file-nul")
	opt.Stdin = strings.NewReader("etc/shadow\x00srv/key\x00")
	if code, err := Run(t.Context(), opt); code != 0 || err != nil {
		t.Fatalf("exit code %d: %v: %s", code, err, out.String())
	}
	if got := []string{shows(t, dir, "etc/shadow"), shows(t, dir, "srv/key")}; got[0] != shadow1 || got[1] != "400 3 key" {
		t.Errorf("the files are %q", got)
	}
}

// TestTakingIsInterrupted ends the run when the tool has written the file. At
// no time can others read it, and the next run completes its metadata.
func TestTakingIsInterrupted(t *testing.T) {
	t.Parallel()
	dir := history(t, vcs.Git)
	must(t, os.Remove(filepath.Join(dir, "etc/shadow")))
	hook(t, dir, "post-checkout", "stat -c '%a %g' etc/shadow etc/same > seen\nkill -9 $(cut -d' ' -f4 /proc/$PPID/stat)\n")
	if out, err := child(t, nil, vcs.Git, dir, "checkout", "v1", "--", "etc/shadow", "etc/same"); err == nil {
		t.Fatalf("the run was not interrupted: %s", out)
	}
	seen, err := os.ReadFile(filepath.Join(dir, "seen"))
	must(t, err)
	if want := "600 0\n644 2\n"; string(seen) != want {
		t.Errorf("in between the files are\n%swant\n%s", seen, want)
	}
	run(t, vcs.Git, dir, "status")
	for name, want := range map[string]string{"etc/shadow": shadow1, "etc/other": "600 8 other"} {
		if got := shows(t, dir, name); got != want {
			t.Errorf("%s is %q after the next run, want %q", name, got, want)
		}
	}
}

// TestCommitHasItsMetadata: a commit has the metadata of all its files, also if
// it names some files only, and if a file is missing that stays in it.
func TestCommitHasItsMetadata(t *testing.T) {
	t.Parallel()
	dir := history(t, vcs.Git)
	must(t, os.Remove(filepath.Join(dir, "etc/shadow")))
	run(t, vcs.Git, dir, "commit", "-q", "etc/other", "-m", "x")
	if out := run(t, vcs.Git, dir, "status", "--porcelain"); out != " D etc/shadow\n" {
		t.Errorf("the status is\n%s", out)
	}
	r, err := vcs.Open(t.Context(), dir, "HEAD")
	must(t, err)
	for name, want := range map[string]uint32{"/etc/shadow": 7, "/etc/other": 8} {
		if e, err := r.Entry(name); err != nil || e.GID != want || e.Mode != 0o600 {
			t.Errorf("%s is %+v in the revision (%v), want the group %d", name, e, err, want)
		}
	}
	must(t, r.Close())
	run(t, vcs.Git, dir, "commit", "-q", "-am", "removed")
	clean(t, vcs.Git, dir)
}
