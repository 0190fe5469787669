package disk

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/images/disk/bootloader"
)

// TestBIOSFindsTheMenu boots the disk in a virtual machine as far as that
// needs no kernel: boot.img, core.img, the menu on the ESP, its first entry.
func TestBIOSFindsTheMenu(t *testing.T) {
	t.Parallel()
	image := bootImage(t)
	waitFor(t, "Loading It's Debian ...", "-machine", "pc", "-drive", "if=virtio,format=raw,file="+image)
}

// TestUEFIFindsTheMenu does the same with systemd-boot.
func TestUEFIFindsTheMenu(t *testing.T) {
	t.Parallel()
	image := bootImage(t)
	const code, vars = "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
	b, err := os.ReadFile(vars)
	if err != nil {
		t.Fatalf("OVMF is not installed: install the Debian package ovmf: %v", err)
	}
	own := filepath.Join(t.TempDir(), "vars.fd")
	if err := os.WriteFile(own, b, 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "It's Debian", "-machine", "q35", "-drive", "if=virtio,format=raw,file="+image,
		"-drive", "if=pflash,format=raw,readonly=on,file="+code, "-drive", "if=pflash,format=raw,file="+own)
}

// bootImage is a disk with real loaders and a kernel that is none.
func bootImage(t *testing.T) string {
	t.Helper()
	loaders, err := bootloader.Assets{}.Load(context.Background(), bootloader.AMD64)
	if err != nil {
		t.Fatal(err)
	}
	c := testContents()
	c.Loaders = loaders
	f := newImage(t, gib)
	if err := install(f, testLayout(t, 512, bootloader.AMD64), c); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// waitFor runs a machine until its serial port has said something.
func waitFor(t *testing.T, marker string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, tool(t, "qemu-system-x86_64", "qemu-system-x86"), append([]string{
		"-accel", "tcg", "-m", "256", "-nodefaults", "-display", "none", "-vga", "none", "-serial", "stdio", "-no-reboot",
	}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen, found := readUntil(out, marker)
	cancel() // ends the machine
	_ = cmd.Wait()
	if !found {
		t.Errorf("the machine did not say %q; it said:\n%s\n%s", marker, seen, said.String())
	}
}

func readUntil(r io.Reader, marker string) (string, bool) {
	var seen []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		seen = append(seen, buf[:n]...)
		if bytes.Contains(seen, []byte(marker)) {
			return string(seen), true
		}
		if err != nil {
			return string(seen), false
		}
	}
}
