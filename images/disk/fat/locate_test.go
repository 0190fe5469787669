package fat

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

// volumeBytes are those of a filesystem.
type volumeBytes []byte

func (m volumeBytes) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m).ReadAt(p, off)
}

func (m volumeBytes) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

// TestLocate finds each file where it was written, in filesystems of both kinds.
func TestLocate(t *testing.T) {
	for _, test := range []struct{ size, sector int64 }{{20 << 20, 512}, {128 << 20, 512}, {300 << 20, 4096}} {
		files := []File{Bytes("EFI/BOOT/BOOTX64.EFI", bytes.Repeat([]byte("MZ"), 50000)), Bytes("grub/slots", []byte("state")), Bytes("a", []byte("short"))}
		for i := range 300 { // a directory of several clusters
			files = append(files, Bytes(fmt.Sprintf("grub/A long name %d.txt", i), []byte(fmt.Sprint("content ", i))))
		}
		files = append(files, Bytes("grub/last.cfg", []byte("the last")))
		m := make(volumeBytes, test.size)
		if err := Write(t.Context(), m, test.size, Options{SectorSize: test.sector}, files); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{"grub/slots": "state", "A": "short", "GRUB/LAST.CFG": "the last", "efi/boot/bootx64.efi": "MZMZ"} {
			off, size, err := Locate(m, path)
			if err != nil {
				t.Errorf("%s of %d bytes: %v", path, test.size, err)
				continue
			}
			if got := string(m[off : off+int64(len(want))]); got != want || path != "efi/boot/bootx64.efi" && size != int64(len(want)) {
				t.Errorf("%s has %d bytes, %q", path, size, got)
			}
		}
		for _, path := range []string{"none", "grub/none", "a/slots", "grub", "EFI/BOOT"} {
			if _, _, err := Locate(m, path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: got %v", path, err)
			}
		}
		if _, _, err := Locate(m, "grub/A long name 1.txt"); err == nil {
			t.Error("a long name was found")
		}
	}
}

// FuzzLocate reads filesystems that others may have broken: it ends, and finds nothing
// outside of them.
func FuzzLocate(f *testing.F) {
	const size = 3 << 20
	m := make(volumeBytes, size)
	if err := Write(f.Context(), m, size, Options{ClusterSize: 512}, []File{Bytes("grub/slots", []byte("state"))}); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(m[:4096]), 36)
	f.Fuzz(func(t *testing.T, head []byte, at int) {
		broken := bytes.Clone(m)
		copy(broken, head)
		if at >= 0 && at < len(broken) {
			broken[at] ^= 0xff
		}
		off, _, err := Locate(volumeBytes(broken), "grub/slots")
		if err == nil && off < 0 {
			t.Errorf("it is at %d", off)
		}
	})
}
