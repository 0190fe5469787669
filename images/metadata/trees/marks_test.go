//go:build linux

package trees

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// marked makes a small tree and returns marks of it.
func marked(t testing.TB) (dir string, marks []byte) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b/c"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a/x", "a/b/c/y", "z"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tree, _, err := list(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return dir, (&Marks{tree}).Text(time.Now().Add(time.Hour))
}

func TestUnchanged(t *testing.T) {
	dir, marks := marked(t)
	if same, err := Unchanged(t.Context(), dir, marks); err != nil || !same {
		t.Errorf("a tree that nobody touched is the same: %v, %v", same, err)
	}
	if err := os.Chmod(filepath.Join(dir, "a/b/c/y"), 0o600); err != nil {
		t.Fatal(err)
	}
	if same, err := Unchanged(t.Context(), dir, marks); err != nil || same {
		t.Errorf("a tree with another mode is the same: %v, %v", same, err)
	}
	if _, err := Unchanged(t.Context(), filepath.Join(dir, "none"), marks); err == nil {
		t.Error("a tree that is not there has no error")
	}
}

// TestYoungTreeHasNoMarks: what changes within the same tick of the clock leaves no
// trace.
func TestYoungTreeHasNoMarks(t *testing.T) {
	dir, _ := marked(t)
	tree, _, err := list(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	latest := marker{times: map[uint64]*times{}}
	latest.directory(nil, tree)
	last := time.Unix(0, int64(latest.last.latest))
	marks := &Marks{tree}
	if marks.Text(last.Add(Tick)) != nil || marks.Text(last.Add(Tick+1)) == nil {
		t.Error("a tree has marks as soon as a tick of the clock has passed, and not before")
	}
}

// FuzzUnchanged holds that marks from outside are never taken for those of a tree, and
// do no harm.
func FuzzUnchanged(f *testing.F) {
	dir, marks := marked(f)
	f.Add([]byte{})
	f.Add(marks)
	f.Add(marks[:len(marks)-1])
	f.Fuzz(func(t *testing.T, other []byte) {
		same, err := Unchanged(t.Context(), dir, other)
		if err != nil || same && !bytes.HasPrefix(other, marks) {
			t.Errorf("%x is taken for the marks: %v, %v", other, same, err)
		}
	})
}
