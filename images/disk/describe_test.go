package disk

import (
	"os"
	"strings"
	"testing"

	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/probe"
)

func identified(t testing.TB, f *os.File, size int64) string {
	t.Helper()
	found, err := probe.Identify(f, size)
	if err != nil {
		t.Fatal(err)
	}
	return probe.Describe(found)
}

func TestDescribeGPT(t *testing.T) {
	f := newImage(t, gib)
	if err := install(f, testLayout(t, 512, bootloader.AMD64), testContents()); err != nil {
		t.Fatal(err)
	}
	const want = "GPT with 3 partitions: nothing known 'bios-boot' 1 MiB, vfat 'ESP' 128 MiB, nothing known 'root' 893 MiB"
	if got := identified(t, f, gib); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	f.WriteAt(make([]byte, mib), 0) // only the backup is left
	if got := identified(t, f, gib); got != want {
		t.Errorf("by the backup table: got %q, want %q", got, want)
	}
}

// FuzzIdentify: whatever is on a disk, it is described in one printable line.
func FuzzIdentify(f *testing.F) {
	l := testLayout(f, 512, bootloader.AMD64)
	table, err := l.Table()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(table.First[:64*kib], int64(gib))
	f.Add(table.First[:512], int64(mib))
	f.Add([]byte("LUKS\xba\xbe"), int64(-1))
	f.Fuzz(func(t *testing.T, b []byte, size int64) {
		size = max(-1, min(size, 1<<40))
		found, err := probe.Identify(padded(b), size)
		if err != nil {
			t.Fatal(err)
		}
		if text := probe.Describe(found); strings.ContainsAny(text, "\n\x1b\x00") || text == "" {
			t.Errorf("the description is %q", text)
		}
	})
}

// padded is a disk of zeros after its first bytes.
type padded []byte

func (b padded) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(b)) {
		copy(p, b[off:])
	}
	return len(p), nil
}
