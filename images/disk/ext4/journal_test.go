//go:build linux

package ext4_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk/disktest"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/sparse"
)

// TestLazyJournalOverAnother makes a filesystem where another was, in the
// same places, so that the log is full of the other's transactions; and has
// it recover from a crash: by the kernel, and by e2fsck.
func TestLazyJournalOverAnother(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	img := stale(t, size).Name()
	for i, id := range [][16]byte{someUUID, {2, 7: 0x40, 8: 0x80}} {
		formatOver(t, img, ext4.Options{Size: size, UUID: id, Stale: true, LazyJournal: true})
		fsck(t, img)
		if i == 0 {
			writeALot(t, img)
		}
	}
	crashed := crash(t, img)
	wantRecovered(t, crashed) // by the kernel
	fsck(t, crashed)
	crashed = crash(t, img)
	if out, _ := try(t, "e2fsck", "-fy", crashed); !strings.Contains(out, "recovering journal") {
		t.Errorf("e2fsck found nothing to recover:\n%s", out)
	}
	fsck(t, crashed)
}

// formatOver makes an empty filesystem over what a file has.
func formatOver(t *testing.T, img string, opts ext4.Options) {
	t.Helper()
	f, err := os.OpenFile(img, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := ext4.Format(t.Context(), sparse.At(f, 0), opts); err != nil {
		t.Fatal(err)
	}
}

const crashFiles = 20

// shutDown is the ioctl EXT4_IOC_SHUTDOWN of Linux, and withoutLog its flag
// EXT4_GOING_FLAGS_NOLOGFLUSH: from then on the filesystem writes nothing, as if the power
// had been cut.
const shutDown, withoutLog = 0x8004587d, 2

// crash writes some files, each in a transaction of its own, has the filesystem end as by a
// power cut, and returns a copy of it. A copy made while the kernel writes would be no state
// that the disk was ever in.
func crash(t *testing.T, img string) (copied string) {
	t.Helper()
	dir, unmount := disktest.Mount(t, img, "ext4", 0)
	defer unmount()
	for i := range crashFiles {
		name := fmt.Sprintf("%s/crash%d", dir, i)
		if err := os.WriteFile(name, bytes.Repeat([]byte{byte(i)}, 5000), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.Syncfs(int(d.Fd()))
		if err == nil && i == crashFiles-1 {
			err = unix.IoctlSetPointerInt(int(d.Fd()), shutDown, withoutLog)
		}
		d.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	unmount()
	content, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	copied = filepath.Join(t.TempDir(), "crashed.img")
	if err := os.WriteFile(copied, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

// wantRecovered mounts a filesystem and wants all files that were synced.
func wantRecovered(t *testing.T, img string) {
	t.Helper()
	if out := tool(t, "dumpe2fs", "-h", img); !strings.Contains(out, "needs_recovery") {
		t.Fatalf("there is nothing to recover:\n%s", out)
	}
	dir, unmount := disktest.Mount(t, img, "ext4", 0)
	defer unmount()
	for i := range crashFiles {
		got, err := os.ReadFile(fmt.Sprintf("%s/crash%d", dir, i))
		if err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, 5000)) {
			t.Errorf("file %d has %d bytes after the crash: %v", i, len(got), err)
		}
	}
}
