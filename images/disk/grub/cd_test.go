package grub

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/testdata/needs"
)

// TestCDBoots starts the image from a CD that has nothing else on it: GRUB
// comes up, and runs the configuration that is in it. Written to a disk, the
// same bytes do the same.
func TestCDBoots(t *testing.T) {
	t.Parallel()
	const marker = "GRUB is up"
	cd := bareCD(t, Core{
		Files: os.DirFS(debianGRUB), Prefix: "/boot/grub", Medium: CD,
		Modules: []string{"biosdisk", "iso9660", "serial", "terminal", "echo"},
		Config:  []byte("serial --unit=0 --speed=115200\nterminal_output serial\necho " + marker + " from $root\n"),
	})
	// SeaBIOS numbers a CD 0xe0, and GRUB counts disks from 0x80.
	waitForSerial(t, marker+" from hd96", "-cdrom", cd)
	waitForSerial(t, marker+" from hd0", "-drive", "if=ide,format=raw,file="+cd)
}

// bareCD is a CD by El Torito 1.0 with no files: a volume descriptor, a boot
// record, the end of the descriptors, the boot catalog, the image, and a
// sector more.
func bareCD(t *testing.T, core Core) string {
	t.Helper()
	const sector, volume, catalog, start = 2048, 16, 19, 20
	image := mustImage(t, core)
	if err := PatchCD(image, volume, start); err != nil {
		t.Fatal(err)
	}
	code, err := core.HybridCode(start)
	if err != nil {
		t.Fatal(err)
	}
	cd := make([]byte, start*sector, start*sector+len(image)+2*sector)
	copy(cd, code)
	copy(cd[sectorSize-2:], "\x55\xaa")
	copy(cd[volume*sector:], "\x01CD001\x01")
	record := cd[(volume+1)*sector:]
	copy(record, "\x00CD001\x01EL TORITO SPECIFICATION")
	binary.LittleEndian.PutUint32(record[0x47:], catalog)
	copy(cd[(volume+2)*sector:], "\xffCD001\x01")
	entries := cd[catalog*sector:]
	entries[0x00], entries[0x1e], entries[0x1f] = 1, 0x55, 0xaa
	binary.LittleEndian.PutUint16(entries[0x1c:], 0x55aa) // with it the words' sum is 0
	entries[0x20] = 0x88                                  // bootable, no emulation
	binary.LittleEndian.PutUint16(entries[0x26:], 4)      // sectors of 512 bytes that the BIOS reads
	binary.LittleEndian.PutUint32(entries[0x28:], start)  // where
	cd = append(cd, image...)
	cd = append(cd, make([]byte, -len(cd)&(sector-1)+sector)...)
	file := filepath.Join(t.TempDir(), "cd.iso")
	if err := os.WriteFile(file, cd, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// waitForSerial runs a machine until its serial port has said something.
func waitForSerial(t *testing.T, marker string, args ...string) {
	t.Helper()
	tool := needs.Tool(t, "qemu-system-x86_64", "qemu-system-x86")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool, append([]string{
		"-accel", "tcg", "-machine", "pc", "-m", "128", "-nodefaults", "-display", "none", "-vga", "none", "-serial", "stdio", "-no-reboot",
	}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen bytes.Buffer
	for buf := make([]byte, 4096); !bytes.Contains(seen.Bytes(), []byte(marker)); {
		n, err := out.Read(buf)
		seen.Write(buf[:n])
		if err != nil {
			t.Errorf("the machine did not say %q; it said:\n%s", marker, seen.String())
			break
		}
	}
	cancel() // ends the machine
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
}

// TestPatchCD reads the boot information table as mkisofs's manual has it.
func TestPatchCD(t *testing.T) {
	image := bytes.Repeat([]byte{0xff}, cdBootSize+sectorSize+5)
	if err := PatchCD(image, 16, 0x1234); err != nil {
		t.Fatal(err)
	}
	if got := binary.LittleEndian.Uint64(image[0x9f4:]); got != 0x1234*4+5 {
		t.Errorf("as a disk, the rest is in sector %#x", got)
	}
	// 623 of the words after the table are ones, two have that sector, and
	// one byte is left over.
	const sum = 1<<32 - 623 + 0x1234*4 + 5 + 0xff
	for i, want := range []uint32{16, 0x1234, cdBootSize + sectorSize + 5, sum & 0xffffffff, 0} {
		if got := binary.LittleEndian.Uint32(image[8+4*i:]); got != want {
			t.Errorf("word %d is %#x instead of %#x", i, got, want)
		}
	}
	if image[7] != 0xff || image[63] != 0 || image[64] != 0xff {
		t.Error("the table is not at bytes 8 to 63")
	}
	if PatchCD(image[:cdBootSize+100], 16, 20) == nil {
		t.Error("an image without a core is patched")
	}
}
