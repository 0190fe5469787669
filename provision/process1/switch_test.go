package process1

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheNewSystemsFirstProgramIsChecked(t *testing.T) {
	root := t.TempDir()
	write(t, root, "usr/lib/systemd/systemd", []byte("ELF"), 0o755)
	write(t, root, "etc/passwd", nil, 0o644)
	err := errors.Join(
		os.Symlink("/usr/sbin", filepath.Join(root, "sbin")), // absolute: in the new root
		os.MkdirAll(filepath.Join(root, "usr/sbin"), 0o755),
		os.Symlink("/usr/lib/systemd/systemd", filepath.Join(root, "usr/sbin/init")),
		os.Symlink("/nowhere", filepath.Join(root, "usr/sbin/broken")),
	)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckProgram(root, "/sbin/init"); err != nil {
		t.Errorf("a sound system is refused: %v", err)
	}
	write(t, root, "/.cloudlet/preinit", []byte("what comes first"), 0o755)
	write(t, root, "/.cloudlet/manifest", []byte("{}"), 0o644)
	if err := CheckProgram(root, "/.cloudlet/preinit"); err != nil { // which no image has
		t.Errorf("what comes before the system's own init is refused: %v", err)
	}
	for _, name := range []string{"/sbin/broken", "/sbin/absent", "/etc/passwd", "/usr", "/.cloudlet/manifest", "/.cloudlet/absent"} {
		if err := CheckProgram(root, name); err == nil {
			t.Errorf("%s counts as a program", name)
		}
	}
}

func TestFreeingTheRAMDiskSparesEveryOtherRoot(t *testing.T) {
	file := write(t, t.TempDir(), "precious", nil, 0o600)
	freeRAMDisk(NewRoot) // this is not process 1
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// write puts a file of these rights below root.
func write(t testing.TB, root, name string, content []byte, mode uint32) string {
	t.Helper()
	file := filepath.Join(root, name)
	err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, content, 0o600), unix.Chmod(file, mode))
	if err != nil {
		t.Fatal(err)
	}
	return file
}
