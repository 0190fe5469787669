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
