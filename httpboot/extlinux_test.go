package httpboot

import (
	"bytes"
	"context"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	pin "github.com/pin/tftp/v3"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/provision"
	"cloudlets/testdata/needs"
)

// fetchTFTP fetches a file from a TFTP server by a foreign client.
func fetchTFTP(at, name string) (string, error) {
	client, err := pin.NewClient(at)
	if err != nil {
		return "", err
	}
	from, err := client.Receive(name, "octet")
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	_, err = from.WriteTo(&text)
	return text.String(), err
}

// ubootConfig is the configuration that U-Boot fetches for a machine, as text.
func (b *bed) ubootConfig(mac provision.MAC) string {
	b.t.Helper()
	return b.tftpFile(loopback, ubootName(mac))
}

func ubootName(mac provision.MAC) string {
	return "pxelinux.cfg/01-" + strings.ReplaceAll(string(mac), ":", "-")
}

// TestUBootStart: U-Boot gets the script that DHCP names, in a form that U-Boot's own
// tools read.
func TestUBootStart(t *testing.T) {
	b := newBed(t, nil)
	image, err := fetchTFTP(startTFTP(t, b.Chain).at, "boot.scr.uimg")
	must(t, err)
	file := filepath.Join(t.TempDir(), "boot.scr.uimg")
	write(t, file, []byte(image))
	told, err := exec.CommandContext(t.Context(), needs.Tool(t, "mkimage", "u-boot-tools"), "-l", file).CombinedOutput()
	if err != nil || !strings.Contains(string(told), "Linux Script (uncompressed)") || !strings.Contains(string(told), "Image Name:   cloudlets") {
		t.Errorf("mkimage reads it as %s (%v)", told, err)
	}
	script := filepath.Join(t.TempDir(), "script")
	told, err = exec.CommandContext(t.Context(), needs.Tool(t, "dumpimage", "u-boot-tools"), "-T", "script", "-o", script, file).CombinedOutput()
	if err != nil {
		t.Fatalf("dumpimage: %v: %s", err, told)
	}
	text, err := os.ReadFile(script)
	must(t, err)
	golden(t, "start.uboot", string(text[8:])) // after the sizes
	b.startsAt(node1, "127.0.0.1")
	b.Machines.SawTransfer(loopback, "boot.scr.uimg", int64(len(image)), nil)
	if stage := b.state(node1).Stage; stage != provision.StageLoader {
		t.Errorf("the stage is %s", stage)
	}
}

func TestUBootInstall(t *testing.T) {
	b := newBed(t, nil)
	kit := b.kit(node1)
	at := startTFTP(t, b.Chain).at
	config, err := fetchTFTP(at, ubootName(node1))
	must(t, err)
	token := config[strings.Index(config, "cloudlets.token=")+len("cloudlets.token="):][:32]
	golden(t, "install.extlinux", config, b.Base, "http://10.77.0.1", token, "TOKEN",
		strings.TrimPrefix(kit.Kernel.Digest, "sha256:"), "KERNEL", strings.TrimPrefix(kit.RAMDisk.Digest, "sha256:"), "RAMDISK")
	for word, size := range map[string]int64{"kernel ": kit.Kernel.Size, "initrd ": kit.RAMDisk.Size} {
		_, name, _ := strings.Cut(config, "\n"+word)
		name, _, _ = strings.Cut(name, "\n")
		if content, err := fetchTFTP(at, name); err != nil || int64(len(content)) != size {
			t.Errorf("%s%s by TFTP has %d bytes, want %d: %v", word, name, len(content), size, err)
		}
	}
	b.wantTrace(node1, "boots kernel "+kernelVersion+" of web to install it", "asked from 127.0.0.1")
	if stage := b.state(node1).Stage; stage != provision.StageKernel {
		t.Errorf("the stage is %s", stage)
	}
	b.claimAs(b.request(node1))
}

// TestUBootLocal: a machine that shall not install, and a stranger, go on to their
// next boot device.
func TestUBootLocal(t *testing.T) {
	b := newBed(t, nil)
	b.change(node1, func(s *provision.Spec) { s.InstallOnce = false })
	golden(t, "local.extlinux", b.ubootConfig(node1))
	b.wantTrace(node1, "sent to its own disk")
	if config := b.ubootConfig(stranger); !strings.Contains(config, "localboot 0") || strings.Contains(config, "kernel") {
		t.Errorf("a stranger is told\n%s", config)
	}
}

func TestUBootWait(t *testing.T) {
	b := newBed(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	text, event := b.next(ctx, node1, dialect.UBoot{})
	golden(t, "wait.extlinux", text)
	if event.Text != "told to ask again in a moment" || event.Stage != "" {
		t.Errorf("the event is %+v", event)
	}
}

// TestUBootLookedAt: another host looks at a machine's configuration, which does not
// move the machine.
func TestUBootLookedAt(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	b.startsAt(node1, "127.0.0.1")
	b.ubootConfig(node1)
	before := b.state(node1)
	b.tftpFile(netip.MustParseAddr("127.0.0.9"), ubootName(node1))
	if after := b.state(node1); after.Stage != before.Stage {
		t.Errorf("looking changed the stage from %s to %s", before.Stage, after.Stage)
	}
	b.wantTrace(node1, "asks from 127.0.0.9", "DHCP gave 127.0.0.1 to this machine")
}

// TestUBootCommandLine: a command line that U-Boot would change is refused, since the
// token would be changed with it. Any other arrives whole.
func TestUBootCommandLine(t *testing.T) {
	b := newBed(t, nil)
	for cmdline, want := range map[string]string{
		`a;  b && # {} "c d"`: `append quiet a; b && # {} "c d" cloudlets.`,
		`$root`:               "", `${x}`: "", `it's`: "", `back\slash`: "",
	} {
		b.change(node1, func(s *provision.Spec) { s.Cmdline = cmdline })
		config := b.ubootConfig(node1)
		if install := strings.Contains(config, "cloudlets.token="); install != (want != "") || !strings.Contains(config, want) {
			t.Errorf("%q: want %s in\n%s", cmdline, want, config)
		}
	}
	b.wantTrace(node1, "U-Boot would change")
}

// TestUBootAsksInVain: U-Boot asks for the configurations of other names only if that
// of its MAC does not come. They do not exist, and are not in the trace.
func TestUBootAsksInVain(t *testing.T) {
	b := newBed(t, nil)
	b.startsAt(node1, "127.0.0.1")
	before := b.trace(node1)
	at := startTFTP(t, b.Chain).at
	for _, name := range []string{"52-54-00-00-00-01", "01-", "01-x", "02-52-54-00-00-00-01", "0A4D0064", "default-arm-qemu-arm", "default", "01-52-54-00-00-00-01/x"} {
		if text, err := fetchTFTP(at, "pxelinux.cfg/"+name); err == nil {
			t.Errorf("pxelinux.cfg/%s is\n%s", name, text)
		}
		b.Machines.SawTransfer(loopback, "pxelinux.cfg/"+name, 0, fs.ErrNotExist)
	}
	b.Machines.SawTransfer(loopback, "dtb", 0, fs.ErrNotExist)
	b.Machines.SawTransfer(loopback, "dtb/vendor/board.dtb", 0, fs.ErrNotExist)
	if after := b.trace(node1); after != before {
		t.Errorf("the trace has grown:\n%s", after)
	}
}

// TestUBootByDHCP: U-Boot is named its script to install, and nothing to start its
// disk: then it does not even ask. Its UEFI half, which calls itself a PXE client, is
// named what any UEFI machine is.
func TestUBootByDHCP(t *testing.T) {
	b := newBed(t, nil)
	client := dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.PXE, Firmware: dhcp.UBoot}
	want := func(file string) {
		t.Helper()
		if boot := b.Boot(t.Context(), client); boot.File != file {
			t.Errorf("it boots %+v, want %q", boot, file)
		}
	}
	want("boot.scr.uimg")
	b.change(node1, func(s *provision.Spec) { s.Quirks.BootFile = "special.efi" })
	want("special.efi")
	b.change(node1, func(s *provision.Spec) { s.Quirks.BootFile, s.InstallOnce = "", false })
	want("")
	b.change(node1, func(s *provision.Spec) { s.InstallOnce = true })
	client.Firmware = dhcp.EFIARM64
	want("snponly-arm64.efi")
}
