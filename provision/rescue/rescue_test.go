package rescue

import (
	"crypto/sha256"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk/disktest"
	"cloudlets/images/pack"
	"cloudlets/testdata/needs"
)

// TestNothingIsWritten mounts filesystems that a mount would otherwise write to, and
// compares the disk before and after.
func TestNothingIsWritten(t *testing.T) {
	needs.Root(t)
	for kind, made := range map[string]struct {
		size  int64 // about the least that the filesystem takes
		maker []string
	}{
		"ext4":  {16 << 20, nil},
		"xfs":   {300 << 20, []string{"xfsprogs", "mkfs.xfs", "-q", "-f"}},
		"btrfs": {128 << 20, []string{"btrfs-progs", "mkfs.btrfs", "-q", "-f"}},
	} {
		maker := made.maker
		t.Run(kind, func(t *testing.T) {
			img := filepath.Join(t.TempDir(), "disk.img")
			if err := os.WriteFile(img, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(img, made.size); err != nil {
				t.Fatal(err)
			}
			if maker == nil {
				disktest.Interrupted(t, img, "never lost\n")
			} else {
				needs.Tool(t, maker[1], maker[0])
				if out, err := exec.CommandContext(t.Context(), maker[1], append(maker[2:], img)...).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v: %s", maker[1], err, out)
				}
			}
			before := sumOf(t, img)
			device, at := disktest.Attach(t, img), filepath.Join(t.TempDir(), "mnt")
			allowWrites(t, device) // another test may have left it read-only
			t.Cleanup(func() { allowWrites(t, device) })
			got, err := MountToRead(device, at)
			if got != kind || err != nil {
				t.Fatalf("it is mounted as %q (%v)", got, err)
			}
			t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
			if text, err := os.ReadFile(filepath.Join(at, "kept")); maker == nil && (err != nil || string(text) != "never lost\n") {
				t.Errorf("the file reads as %q (%v)", text, err)
			}
			if err := os.WriteFile(filepath.Join(at, "new"), nil, 0o600); err == nil {
				t.Error("a file was written")
			}
			if f, err := os.OpenFile(device, os.O_WRONLY, 0); err == nil {
				_, werr := f.WriteAt([]byte("lost"), 0)
				if serr := f.Sync(); werr == nil && serr == nil {
					t.Error("the device was written")
				}
				f.Close()
			}
			if err := unix.Unmount(at, 0); err != nil {
				t.Fatal(err)
			}
			if sumOf(t, img) != before {
				t.Error("the disk has changed")
			}
		})
	}
}

// allowWrites takes back what refuseWrites does. A loop device stays read-only when its
// file is detached, and would be for whoever has it next.
func allowWrites(t *testing.T, device string) {
	t.Helper()
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.BLKROSET, 0); err != nil {
		t.Fatal(err)
	}
}

func sumOf(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return string(h.Sum(nil))
}

func TestCheckMemory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "meminfo")
	if err := os.WriteFile(file, []byte("MemTotal:         512000 kB\nMemFree:  1 kB\nMemAvailable:     400000 kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const left = 400000<<10 - toWork
	if err := CheckMemory("small", left, file); err != nil {
		t.Error(err)
	}
	err := CheckMemory("debian", left+1, file)
	if err == nil || !strings.Contains(err.Error(), "debian takes 275.4 MB of memory unpacked, and a rescue 134.2 MB to work: this machine has 409.6 MB left of 524.3 MB") {
		t.Errorf("got %v", err)
	}
	if n := Needs(pack.Info{Entries: 10, Bytes: 1000}); n != 1000+10*5120 {
		t.Errorf("an image needs %d", n)
	}
}

func TestTerminals(t *testing.T) {
	for active, want := range map[string][]string{
		"":             {"console"},
		"ttyS0\n":      {"ttyS0"},
		"tty0 ttyS1\n": {"tty1", "ttyS1"},
	} {
		if got := terminals(active); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q", active, got)
		}
	}
	for terminal, want := range map[string]string{"tty1": "TERM=linux", "ttyS0": "TERM=vt220", "hvc0": "TERM=vt220"} {
		if got := environment(terminal); got[1] != want {
			t.Errorf("%s: %s", terminal, got[1])
		}
	}
}

func TestUnlock(t *testing.T) {
	for shadow, want := range map[string]string{
		"root:!:1:0\nann:!:1\n":         "root:*:1:0\nann:!:1\n",
		"daemon:*:1\nroot:!$6$x:1\n":    "daemon:*:1\nroot:*:1\n",
		"root:$6$x:1\n":                 "root:$6$x:1\n",
		"root:*:1\nroot2:!:1\nbroken\n": "root:*:1\nroot2:!:1\nbroken\n",
	} {
		if got := unlock(shadow); got != want {
			t.Errorf("%q becomes %q", shadow, got)
		}
	}
}

// TestFingerprint compares with what ssh-keygen prints for this key.
func TestFingerprint(t *testing.T) {
	got, err := fingerprintOf("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g node1\n")
	if err != nil || got != "SHA256:mKqU+0K8OhKmA8bBQi9Rz0Q5l7/g160hIP+rJYSTNj4" {
		t.Errorf("got %s (%v)", got, err)
	}
	if _, err := fingerprintOf("nothing"); err == nil {
		t.Error("nothing has a fingerprint")
	}
}

func TestFindShell(t *testing.T) {
	root := t.TempDir()
	if _, err := FindShell(root); err == nil || !strings.Contains(err.Error(), "find a shell among /bin/bash, /bin/sh") {
		t.Errorf("an empty system: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr/bin", filepath.Join(root, "bin")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "usr/bin/sh"), []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	if shell, err := FindShell(root); err != nil || shell != "/bin/sh" {
		t.Errorf("got %s (%v)", shell, err)
	}
}
