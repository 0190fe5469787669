package bed_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/disk/probe"
	"cloudlets/testdata/bed"
)

// command runs a program, and returns what it prints.
func command(ctx context.Context, t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// ask types a line at a shell and waits for what it prints.
func ask(ctx context.Context, t *testing.T, m *bed.Machine, line, want string) {
	t.Helper()
	if err := m.Console.Type(line + "\n"); err != nil {
		t.Fatal(err)
	}
	expect(ctx, t, m, want)
}

// wantSoundDisk has foreign tools look at a disk's table, and at the
// filesystem on its last partition.
func wantSoundDisk(t *testing.T, file string, size int64, last string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "sgdisk", "-v", file).CombinedOutput(); err != nil || !strings.Contains(string(out), "No problems found") {
		t.Errorf("sgdisk (Debian package gdisk): %v: %s", err, out)
	}
	c := partitionCalled(t, file, size, last)
	if c.Offset+c.Size < size-3<<20 {
		t.Errorf("the partition ends at %d of %d", c.Offset+c.Size, size)
	}
	part := filepath.Join(t.TempDir(), "part")
	copyPart(t, file, c, part)
	if out, err := exec.CommandContext(t.Context(), "e2fsck", "-fn", part).CombinedOutput(); err != nil {
		t.Errorf("e2fsck (Debian package e2fsprogs): %v: %s", err, out)
	}
}

func partitionCalled(t *testing.T, file string, size int64, label string) probe.Content {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found, err := probe.Identify(f, size)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range found {
		if c.Kind == "ext4" && c.Label == label {
			return c
		}
	}
	t.Fatalf("no filesystem on %s is called %s: %s", file, label, probe.Describe(found))
	return probe.Content{}
}

func copyPart(t *testing.T, file string, c probe.Content, to string) {
	t.Helper()
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, io.NewSectionReader(in, c.Offset, c.Size)); err != nil {
		t.Fatal(err)
	}
}
