package disktest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/testdata/needs"
)

// Interrupted puts an ext4 filesystem into a file that is there, as a machine leaves one
// that was switched off: its journal is to be replayed, and a file that was deleted while
// it was open is to be cleaned up. A mount that is only read-only does both, and writes.
// The file "kept" has the given text.
func Interrupted(t testing.TB, file, text string) {
	t.Helper()
	needs.Tool(t, "mke2fs", "e2fsprogs")
	dir, deleted := t.TempDir(), filepath.Join(t.TempDir(), "deleted")
	for _, name := range []string{filepath.Join(dir, "kept"), deleted} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("mke2fs", "-q", "-F", "-t", "ext4", "-d", dir, file)
	run("debugfs", "-w", "-R", "write "+deleted+" deleted", file)
	const inode = "13" // 11 is lost+found, and 12 is kept
	if out := run("debugfs", "-R", "stat <"+inode+">", file); !strings.Contains(out, "Type: regular") {
		t.Fatalf("the deleted file is not inode %s: %s", inode, out)
	}
	run("debugfs", "-w", "-R", "sif <"+inode+"> links_count 0", file)
	run("debugfs", "-w", "-R", "ssv last_orphan "+inode, file)
	run("debugfs", "-w", "-R", "feature needs_recovery", file)
}
