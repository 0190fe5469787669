package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// killed names the file that a child process dies before renaming to.
const killed = "ATOMICFILE_TEST_KILLED"

func TestMain(m *testing.M) {
	if name := os.Getenv(killed); name != "" {
		die(name)
	}
	os.Exit(m.Run())
}

// die kills this process when the content is written and synced, but does not
// have its name yet.
func die(name string) {
	f, err := Create(filepath.Dir(name), 0o600)
	if err == nil {
		_, err = f.WriteString("new")
	}
	if err == nil {
		err = f.finish()
	}
	self, findErr := os.FindProcess(os.Getpid())
	if errors.Join(err, findErr) == nil {
		_ = self.Kill()
	}
	select {} // the signal may take a moment
}

func TestKilledBeforeRename(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := Write(name, 0o600, Text([]byte("old"))); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Env = append(os.Environ(), killed+"="+name)
	if out, err := child.CombinedOutput(); err == nil || len(out) > 0 {
		t.Fatalf("the child was not killed: %v, %s", err, out)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "old" {
		t.Errorf("the old file is %q, %v", text, err)
	}
	if parts := others(t, name); len(parts) != 1 {
		t.Errorf("beside the file are %q, want one part", parts)
	}
	if err := Write(name, 0o600, Text([]byte("newer"))); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "newer" {
		t.Errorf("after the next write the file is %q, %v", text, err)
	}
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := RemoveParts(root, "."); err != nil || len(others(t, name)) > 0 {
		t.Errorf("the part stays: %v", err)
	}
}

// others are the names in a file's directory, without its own.
func others(t *testing.T, name string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(name) {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestFailureLeavesOldFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := Write(name, 0o600, Text([]byte("old"))); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := Write(name, 0o600, func(f *os.File) error { return errors.Join(broken, Text([]byte("ne"))(f)) })
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "old" || len(others(t, name)) > 0 {
		t.Errorf("the old file is %q, %v; beside it are %q", text, err, others(t, name))
	}
}

func TestFailedRenameLeavesNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "folder")
	if err := os.MkdirAll(filepath.Join(name, "inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(name, 0o600, Text(nil)); err == nil {
		t.Error("a folder was replaced")
	}
	if left := others(t, name); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestLinksStayInside(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "away")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := WriteIn(root, "away/file", 0o600, Text(nil)); err == nil || len(others(t, filepath.Join(outside, "x"))) > 0 {
		t.Errorf("a link led out of the root: %v", err)
	}
}

func TestCommitFolder(t *testing.T) {
	dir := t.TempDir()
	part, name := filepath.Join(dir, "part"), filepath.Join(dir, "folder")
	if err := os.Mkdir(part, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(part, "file"), []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := CommitFolder(part, name); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(name, "file")); err != nil || string(text) != "text" || len(others(t, name)) > 0 {
		t.Errorf("the folder has %q, %v; beside it are %q", text, err, others(t, name))
	}
	if err := CommitFolder(part, name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a folder that is not there: %v", err)
	}
}
