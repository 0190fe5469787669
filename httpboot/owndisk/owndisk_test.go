package owndisk

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"

	"cloudlets/images/disk/bootloader"
)

// linuxPartition is the GUID of UEFI's own example, with the bytes that firmware has for it.
const linuxPartition = "0fc63daf-8483-4772-8e79-3d69d8477de4"

var linuxPartitionBytes = []byte{0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4}

// TestProgram: a foreign reader finds the code, and the data that it needs, each in memory
// of its kind. Whether firmware runs it, the test bed's machines show.
func TestProgram(t *testing.T) {
	needsCode(t)
	file, err := Program(bootloader.AMD64, []string{linuxPartition, strings.ToUpper(linuxPartition)})
	if err != nil {
		t.Fatal(err)
	}
	program, err := pe.NewFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	header := program.OptionalHeader.(*pe.OptionalHeader64)
	if program.Machine != pe.IMAGE_FILE_MACHINE_AMD64 || header.Subsystem != pe.IMAGE_SUBSYSTEM_EFI_APPLICATION || header.AddressOfEntryPoint != codeAt {
		t.Errorf("the headers are %+v, %+v", program.FileHeader, header)
	}
	text := content(t, program, ".text")
	if text[0] != 0x55 || text[len(text)-1] != 0xc3 { // push %rbp … ret
		t.Errorf("the code begins with %x and ends with %x", text[0], text[len(text)-1])
	}
	data := content(t, program, ".data")
	if n := binary.LittleEndian.Uint64(data); n != 2 || !bytes.Equal(data[guidsAt:guidsAt+16], linuxPartitionBytes) || !bytes.Equal(data[guidsAt+16:guidsAt+32], linuxPartitionBytes) {
		t.Errorf("the data have %d partitions, %x", n, data[guidsAt:guidsAt+32])
	}
	path := data[loaderAt : loaderAt+binary.LittleEndian.Uint64(data[loaderSizeAt:])]
	if got := unitsOf(path[4 : len(path)-4]); got != `\EFI\BOOT\BOOTX64.EFI` || !bytes.HasSuffix(path, []byte{0x7f, 0xff, 4, 0}) || int(path[2]) != len(path)-4 {
		t.Errorf("the path is %q, %x", got, path)
	}
	if got := unitsOf(data[greetingAt:partingAt]); got != greeting {
		t.Errorf("it says %q", got)
	}
	if got := unitsOf(data[partingAt:]); got != parting {
		t.Errorf("at last it says %q", got)
	}
	for _, s := range program.Sections {
		if s.Characteristics&pe.IMAGE_SCN_MEM_WRITE != 0 && s.Characteristics&pe.IMAGE_SCN_MEM_EXECUTE != 0 {
			t.Errorf("the memory of %s is written and run", s.Name)
		}
	}
}

// TestNoProgram: what cannot be started is refused, with the reason.
func TestNoProgram(t *testing.T) {
	needsCode(t)
	for _, c := range []struct {
		arch       bootloader.Arch
		partitions []string
		want       string
	}{
		{bootloader.ARM64, []string{linuxPartition}, "no program"},
		{bootloader.AMD64, nil, "have 0"},
		{bootloader.AMD64, make([]string, MaxPartitions+1), "have 9"},
		{bootloader.AMD64, []string{"sda1"}, `"sda1"`},
	} {
		if _, err := Program(c.arch, c.partitions); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %q: %v, want %q", c.arch, c.partitions, err, c.want)
		}
	}
	if _, err := Program(bootloader.ARM64, nil); !errors.Is(err, ErrNoProgram) || Has(bootloader.ARM64) || !Has(bootloader.AMD64) {
		t.Errorf("for arm64: %v", err)
	}
}

// needsCode leaves a test out where the Go assembler has made no program.
func needsCode(t *testing.T) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("this server is for " + runtime.GOARCH)
	}
}

// content is what the file has of a section.
func content(t *testing.T, f *pe.File, name string) []byte {
	t.Helper()
	s := f.Section(name)
	if s == nil {
		t.Fatalf("there is no section %s", name)
	}
	b, err := io.ReadAll(io.LimitReader(s.Open(), int64(s.VirtualSize)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unitsOf is a text of UTF-16 up to its zero.
func unitsOf(b []byte) string {
	var units []uint16
	for ; len(b) >= 2 && (b[0] != 0 || b[1] != 0); b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	return string(utf16.Decode(units))
}
