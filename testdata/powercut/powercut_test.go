package powercut_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/testdata/needs"
	"cloudlets/testdata/powercut"
)

const size = 1 << 20

func newDisk(t *testing.T, base string) *powercut.Disk {
	t.Helper()
	d, err := powercut.New(t.TempDir(), base, size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// serve gives a disk to clients, until the test ends.
func serve(t *testing.T, d *powercut.Disk) (url string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "nbd-*") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s, err := powercut.Serve(d, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.URL()
}

// qemuIO is QEMU's client, with commands of qemu-io(1).
func qemuIO(t *testing.T, url string, commands ...string) *exec.Cmd {
	t.Helper()
	args := []string{"-f", "raw", "-t", "writeback", "-d", "unmap"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return exec.CommandContext(t.Context(), needs.Tool(t, "qemu-io", "qemu-utils"), append(args, url)...)
}

func runQEMU(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "failed") { // qemu-io says 0 in spite of a wrong pattern
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}

// after restores a part of a disk after a cut.
func after(t *testing.T, d *powercut.Disk, c powercut.Cut, off, length int64) []byte {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "restored"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := d.Restore(f, c, off, length); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.Name())
	if err != nil || int64(len(b)) != length {
		t.Fatalf("%d bytes were restored, want %d (%v)", len(b), length, err)
	}
	return b
}

func filled(b byte, n int) []byte { return bytes.Repeat([]byte{b}, n) }

// TestQEMU has QEMU read, write, flush and forget.
func TestQEMU(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "")
	url := serve(t, d)
	runQEMU(t, qemuIO(t, url, "write -P 1 0 64k", "flush", "write -P 2 64k 64k", "write -f -P 3 128k 64k", "read -P 1 0 64k", "read -P 3 128k 64k",
		"write -P 4 256k 64k", "write -z 256k 32k", "write -P 5 320k 64k", "discard 320k 64k", "read -P 0 256k 32k", "read -P 4 288k 32k", "read -P 0 320k 64k"))
	out := filepath.Join(t.TempDir(), "copy")
	runQEMU(t, exec.CommandContext(t.Context(), needs.Tool(t, "qemu-img", "qemu-utils"), "convert", "-O", "raw", url, out))
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, size)
	for at, value := range map[int]byte{0: 1, 64: 2, 128: 3} {
		copy(want[at<<10:], filled(value, 64<<10))
	}
	copy(want[288<<10:], filled(4, 32<<10))
	if !bytes.Equal(got, want) {
		t.Error("qemu-img reads other bytes than qemu-io wrote")
	}
	if all := after(t, d, powercut.Cut{At: d.Requests()}, 0, size); !bytes.Equal(all, want) {
		t.Error("a client that ended well has lost something")
	}
}

// TestQEMULoses looks at what a power cut may lose of what QEMU wrote: neither what was
// flushed nor what was written through, and of the rest anything.
func TestQEMULoses(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "")
	const k = 1 << 10
	cut := d.CutAt(5)
	cmd := qemuIO(t, serve(t, d), "write -P 1 0 64k", "flush", "write -P 2 0 64k", "write -f -P 3 64k 64k", "write -P 4 128k 64k", "write -P 5 192k 64k", "write -P 6 256k 64k")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-cut
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if n := d.Requests(); n != 6 {
		t.Fatalf("the disk has %d requests", n)
	}
	if _, err := d.ReadAt(make([]byte, powercut.Sector), 0); !errors.Is(err, powercut.ErrNoPower) {
		t.Errorf("a disk without power is read: %v", err)
	}
	seen := map[string]int{}
	marks := map[uint64]string{}
	for seed := range uint64(300) {
		c := powercut.Cut{At: 5, Seed: seed}
		b := after(t, d, c, 0, size)
		if again := after(t, d, c, 64*k, 256*k); !bytes.Equal(again, b[64*k:320*k]) {
			t.Fatalf("cut %s is not the same again", c)
		}
		if mark := d.Mark(c, 0, size); marks[mark] != "" && marks[mark] != string(b) {
			t.Fatalf("cut %s has the mark of other bytes", c)
		} else {
			marks[mark] = string(b)
		}
		if !bytes.Equal(b[64*k:128*k], filled(3, 64*k)) {
			t.Fatalf("cut %s loses what was written through", c)
		}
		if n := bytes.Count(b[:64*k], []byte{1}) + bytes.Count(b[:64*k], []byte{2}); n != 64*k {
			t.Fatalf("cut %s loses what was flushed", c)
		}
		if bytes.Contains(b[256*k:], []byte{6}) {
			t.Fatalf("cut %s has what was written after it", c)
		}
		for i, first := range []byte{2, 4, 5} { // each may be there for itself
			at := [...]int{0, 128 * k, 192 * k}[i]
			n := bytes.Count(b[at:at+64*k], []byte{first})
			if n%powercut.Sector != 0 {
				t.Fatalf("cut %s tears a sector: %d bytes of %d", c, n, first)
			}
			switch n {
			case 0:
				seen[string('0'+first)+" lost"]++
			case 64 * k:
				seen[string('0'+first)+" there"]++
			default:
				seen[string('0'+first)+" torn"]++
			}
		}
		if b[128*k] == 0 && b[192*k] == 5 {
			seen["the later alone"]++
		}
	}
	for _, want := range []string{"2 lost", "2 there", "2 torn", "4 lost", "4 there", "4 torn", "5 lost", "5 there", "5 torn", "the later alone"} {
		if seen[want] == 0 {
			t.Errorf("of 300 cuts none has %q; they have %v", want, seen)
		}
	}
}

// TestOlderWriteStaysOlder: what was written through is not replaced by an older write to
// the same place, which a cache has no more.
func TestOlderWriteStaysOlder(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "")
	if err := errors.Join(d.Write(filled(1, 4096), 0, false), d.Write(filled(2, 4096), 0, true), d.Zero(8192, 4096, false)); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(50) {
		if b := after(t, d, powercut.Cut{At: 3, Seed: seed}, 0, 4096); !bytes.Equal(b, filled(2, 4096)) {
			t.Fatalf("with seed %d an older write comes back", seed)
		}
	}
	if got := d.Touching(4096, 8192); len(got) != 1 || got[0] != 2 {
		t.Errorf("the requests that touch a part are %d", got)
	}
}

// TestTogether: what a disk writes together is not torn, and all else is.
func TestTogether(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "")
	d.Together(1024, 1024)
	if err := d.Write(filled(1, 4096), 0, false); err != nil {
		t.Fatal(err)
	}
	torn := 0
	for seed := range uint64(300) {
		b := after(t, d, powercut.Cut{At: 1, Seed: seed}, 0, 4096)
		if n := bytes.Count(b[1024:2048], []byte{1}); n != 0 && n != 1024 {
			t.Fatalf("with seed %d, %d bytes of 1024 are there", seed, n)
		}
		if n := bytes.Count(b, []byte{1}); n != 0 && n != len(b) {
			torn++
		}
	}
	if torn == 0 {
		t.Error("no write is torn")
	}
}

// TestBase begins with what is on another disk.
func TestBase(t *testing.T) {
	t.Parallel()
	base := filepath.Join(t.TempDir(), "base")
	want := append(make([]byte, size/2), filled(7, size/2)...)
	if err := os.WriteFile(base, want, 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDisk(t, base)
	got := make([]byte, size)
	if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the disk has not what its base has (%v)", err)
	}
	if err := d.Zero(size-4096, 4096, true); err != nil {
		t.Fatal(err)
	}
	clear(want[size-4096:])
	if got := after(t, d, powercut.Cut{At: 1}, size/4, 3*size/4); !bytes.Equal(got, want[size/4:]) {
		t.Error("a part that is restored has not what its base has")
	}
}

// TestRefuses what no disk does.
func TestRefuses(t *testing.T) {
	t.Parallel()
	d := newDisk(t, "")
	for _, w := range []struct{ off, length int64 }{{0, 100}, {100, 512}, {size, 512}, {-512, 512}, {0, size + 512}, {1<<63 - 512, 1024}} {
		if err := d.Zero(w.off, w.length, false); err == nil {
			t.Errorf("%d bytes are written at %d", w.length, w.off)
		}
	}
	if n := d.Requests(); n != 0 {
		t.Errorf("%d refused requests are in the log", n)
	}
	if _, err := powercut.New(t.TempDir(), "", 1000); err == nil {
		t.Error("a disk has half a sector")
	}
}
