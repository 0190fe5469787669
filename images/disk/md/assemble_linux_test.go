package md

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestFailed: of an array's devices in sysfs, those that the kernel has dropped.
func TestFailed(t *testing.T) {
	dir := t.TempDir()
	for name, state := range map[string]string{"sda3": "in_sync\n", "sdb3": "faulty,want_replacement\n", "sdc3": "spare\n", "sdd3": "faulty,blocked\n"} {
		file := filepath.Join(dir, "md", "dev-"+name, "state")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(state), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := failed(dir); err != nil || !slices.Equal(got, []string{"sdb3", "sdd3"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestCopied: how far the kernel is, in bytes.
func TestCopied(t *testing.T) {
	dir := t.TempDir()
	if got, err := copied(dir); err != nil || got != 0 {
		t.Errorf("of an array without copies got %d, %v", got, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "md"), 0o755); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int64{"none\n": 0, "delayed\n": 0, "2048 / 4096\n": 1 << 20} {
		if err := os.WriteFile(filepath.Join(dir, "md", "sync_completed"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := copied(dir); err != nil || got != want {
			t.Errorf("of %q got %d, %v", text, got, err)
		}
	}
}
