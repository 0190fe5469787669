package uki

import (
	"bytes"
	"debug/pe"
	"io"
	"os"
	"strings"
	"testing"
)

const (
	stubFile   = "/usr/lib/systemd/boot/efi/linuxx64.efi.stub"
	loaderFile = "/usr/lib/systemd/boot/efi/systemd-bootx64.efi"
)

// TestSectionsComeBack parses an image with debug/pe and compares its sections.
func TestSectionsComeBack(t *testing.T) {
	stub := read(t, stubFile, "systemd-boot-efi")
	linux := read(t, loaderFile, "systemd-boot-efi") // any UEFI program
	initrd := bytes.Repeat([]byte("initrd "), 100_001)
	k := Kernel{Linux: Bytes(linux), Initrd: Bytes(initrd), Cmdline: "root=UUID=1 rw", Title: `the "best", $1`, Version: "6.1.0-18-amd64"}
	f, err := New(stub, k)
	if err != nil {
		t.Fatal(err)
	}
	b := content(t, f)
	p, err := pe.NewFile(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		".linux": string(linux), ".initrd": string(initrd), ".cmdline": k.Cmdline, ".uname": k.Version,
		".osrel": "ID=cloudlet\nNAME=cloudlet\nPRETTY_NAME=\"the \\\"best\\\", \\$1\"\nVERSION_ID=\"6.1.0-18-amd64\"\n",
	}
	var end uint32
	for _, s := range p.Sections {
		if s.VirtualAddress < end {
			t.Errorf("section %s is at %#x, and the one before it ends at %#x", s.Name, s.VirtualAddress, end)
		}
		end = s.VirtualAddress + s.VirtualSize
		text, ok := want[s.Name]
		delete(want, s.Name)
		if got, err := s.Data(); ok && (err != nil || string(got[:min(len(got), len(text))]) != text || len(bytes.Trim(got[len(text):], "\x00")) > 0) {
			t.Errorf("section %s has %d bytes, %v; want %d", s.Name, len(got), err, len(text))
		}
	}
	if len(want) > 0 {
		t.Errorf("sections are missing: %v", want)
	}
	if size := p.OptionalHeader.(*pe.OptionalHeader64).SizeOfImage; size < end {
		t.Errorf("the image takes %#x bytes of memory, and its sections end at %#x", size, end)
	}
}

func TestInvalidPrograms(t *testing.T) {
	stub, loader := read(t, stubFile, "systemd-boot-efi"), read(t, loaderFile, "systemd-boot-efi")
	k := Kernel{Linux: Bytes(loader), Version: "1"}
	cut := k
	cut.Linux = Bytes([]byte("\x1f\x8b compressed"))
	for _, c := range []struct {
		name string
		stub []byte
		k    Kernel
		want string
	}{
		{"empty", nil, k, "not a 64-bit UEFI program"},
		{"a text", bytes.Repeat([]byte("MZ"), 1000), k, "not a 64-bit UEFI program"},
		{"cut short", stub[:5000], k, "cut short"},
		{"compressed kernel", stub, cut, "EFI stub"},
	} {
		if _, err := New(c.stub, c.k); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestShrunkWhileRead checks that a file that became shorter is an error rather
// than a shorter program.
func TestShrunkWhileRead(t *testing.T) {
	f := padded(File{Size: 10, Open: Bytes([]byte("short")).Open}, 8)
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err == nil {
		t.Errorf("it was read as %q", b)
	}
}

func content(t testing.TB, f File) []byte {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t *testing.T, file, debianPackage string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v: install the Debian package %s", err, debianPackage)
	}
	return b
}
