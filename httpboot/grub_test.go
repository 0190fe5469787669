package httpboot

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/wire"
	"cloudlets/tftp"
)

var _ tftp.Asked = bootFiles{}

// loopback is where the tests' machines ask from.
var loopback = netip.MustParseAddr("127.0.0.1")

// newSecureBed is a bed whose node1 has Secure Boot.
func newSecureBed(t *testing.T) *bed {
	b := newBed(t, nil)
	b.change(node1, func(s *provision.Spec) { s.SecureBoot = provision.ByShim })
	return b
}

// nameByTFTP is the name by which TFTP serves a file of the depot.
func nameByTFTP(f depot.File, name string) string {
	return strings.TrimPrefix(depot.FilePath(f.Digest, name), "/")
}

// tftpFile is the text that a boot loader reads under a name, by TFTP from an address.
func (b *bed) tftpFile(from netip.Addr, name string) string {
	b.t.Helper()
	f, err := bootFiles{b.Chain, netip.Addr{}}.OpenFor(b.t.Context(), from, name)
	must(b.t, err)
	defer f.Close()
	info, err := f.Stat()
	must(b.t, err)
	text, err := io.ReadAll(f)
	must(b.t, err)
	if int64(len(text)) != info.Size() || !info.Mode().IsRegular() {
		b.t.Errorf("%s has %d bytes, and is said to be %d of a file with mode %s", name, len(text), info.Size(), info.Mode())
	}
	return string(text)
}

func (b *bed) grubConfig(mac provision.MAC) string {
	b.t.Helper()
	return b.tftpFile(loopback, "grub/machine/"+string(mac)+"/grub.cfg")
}

// TestGRUBStart: GRUB finds its first configuration by either name that it asks for,
// and that leads it to the machine's own.
func TestGRUBStart(t *testing.T) {
	b := newSecureBed(t)
	files := startTFTP(t, b.Chain)
	for _, name := range []string{"grub/grub.cfg", "grub/x86_64-efi/grub.cfg", "grub/arm64-efi/grub.cfg"} {
		text, err := files.fetch(name)
		must(t, err)
		golden(t, "start.grub", string(text))
	}
}

func TestGRUBInstall(t *testing.T) {
	b := newSecureBed(t)
	kit := b.kit(node1)
	at := startTFTP(t, b.Chain).at
	fetch := func(name string) string {
		text, err := fetchTFTP(at, name)
		must(t, err)
		return text
	}
	config := fetch("grub/machine/" + string(node1) + "/grub.cfg")
	token := config[strings.Index(config, "cloudlets.token=")+len("cloudlets.token="):][:32]
	golden(t, "install.grub", config, b.Base, "http://10.77.0.1", token, "TOKEN",
		strings.TrimPrefix(kit.Kernel.Digest, "sha256:"), "KERNEL", strings.TrimPrefix(kit.RAMDisk.Digest, "sha256:"), "RAMDISK")
	if again := b.grubConfig(node1); again != config {
		t.Errorf("looking at the configuration changes it to\n%s", again)
	}
	if got := fetch(nameByTFTP(kit.Kernel, "vmlinuz")); got != kernel(0x20c, 1) {
		t.Errorf("the kernel by TFTP has %d bytes", len(got))
	}
	if got := fetch(nameByTFTP(kit.RAMDisk, "ramdisk")); int64(len(got)) != kit.RAMDisk.Size {
		t.Errorf("the RAM disk by TFTP has %d bytes, want %d", len(got), kit.RAMDisk.Size)
	}
	b.Machines.SawTransfer(loopback, nameByTFTP(kit.Kernel, "vmlinuz"), kit.Kernel.Size, nil)
	b.wantTrace(node1, "boots kernel "+kernelVersion+" of web to install it", `"install": "once"`, "asked from 127.0.0.1", "/vmlinuz by TFTP")
	if b.state(node1).Stage != provision.StageKernel {
		t.Errorf("the stage is %s", b.state(node1).Stage)
	}
}

// TestSecureBootClaim: the kernel of the tests' image is not signed, which is told
// before anything is written.
func TestSecureBootClaim(t *testing.T) {
	b := newSecureBed(t)
	a := b.do(http.MethodPost, wire.ClaimPath, "", b.request(node1))
	a.want(t, http.StatusConflict, "is not signed, and Secure Boot would refuse it")
}

// TestNoSignedLoaders: the server has no signed boot loaders for the disk. The
// machine is not installed, and the trace says which package has them.
func TestNoSignedLoaders(t *testing.T) {
	b := newSecureBed(t)
	kit := b.kit(node1)
	kit.Signed = errors.New("install shim-signed")
	text, err := b.install(t.Context(), node1, &provision.Spec{MAC: node1, Image: "web", SecureBoot: provision.ByShim}, kit, dialect.GRUB{TFTP: b.TFTP})
	if err == nil || !strings.Contains(err.Error(), "install shim-signed") {
		t.Errorf("error %v, and the configuration\n%s", err, text)
	}
	kit.Signed = nil
}

func TestGRUBLocal(t *testing.T) {
	b := newSecureBed(t)
	b.change(node1, func(s *provision.Spec) { s.InstallOnce = false })
	golden(t, "local.grub", b.grubConfig(node1))
	b.wantTrace(node1, "sent to its own disk")
	if config := b.grubConfig(stranger); strings.Contains(config, "linux") {
		t.Errorf("a stranger is told\n%s", config)
	}
}

func TestGRUBWait(t *testing.T) {
	b := newSecureBed(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	text, event := b.next(ctx, node1, dialect.GRUB{TFTP: b.TFTP})
	golden(t, "wait.grub", text)
	if event.Text != "told to ask again in a moment" || event.Stage != "" {
		t.Errorf("the event is %+v", event)
	}
}

// TestGRUBFailed: GRUB could not load the kernel, and asks what to do. That is how
// the server learns of it.
func TestGRUBFailed(t *testing.T) {
	b := newSecureBed(t)
	golden(t, "failed.grub", b.tftpFile(loopback, "grub/machine/"+string(node1)+"/failed.cfg"))
	b.wantTrace(node1, "GRUB could not load the kernel", "a kernel that Debian signed")
	before := b.trace(stranger)
	b.tftpFile(loopback, "grub/machine/"+string(stranger)+"/failed.cfg")
	if after := b.trace(stranger); after != before {
		t.Errorf("anybody can write into the trace of a stranger:\n%s", after)
	}
}

// TestGRUBAsksInVain: what shim and GRUB ask for on the off chance is not in the
// trace, and what is missing is.
func TestGRUBAsksInVain(t *testing.T) {
	b := newSecureBed(t)
	b.startsAt(node1, "127.0.0.1")
	before := b.trace(node1)
	for _, name := range []string{"revocations_sku.efi", "shim_certificate_0.efi", "grub/x86_64-efi/fs.lst"} {
		b.Machines.SawTransfer(loopback, name, 0, fs.ErrNotExist)
	}
	if after := b.trace(node1); after != before {
		t.Errorf("the trace has grown:\n%s", after)
	}
	b.Machines.SawTransfer(loopback, "grubx64.efi", 0, fs.ErrNotExist)
	b.wantTrace(node1, "could not fetch grubx64.efi")
}

// TestGRUBLookedAt: another host looks at a machine's configuration, which does not
// move the machine.
func TestGRUBLookedAt(t *testing.T) {
	b := newSecureBed(t)
	b.kit(node1)
	b.startsAt(node1, "127.0.0.1")
	b.grubConfig(node1)
	before := b.state(node1)
	b.tftpFile(netip.MustParseAddr("127.0.0.9"), "grub/machine/"+string(node1)+"/grub.cfg")
	if after := b.state(node1); after.Stage != before.Stage {
		t.Errorf("looking changed the stage from %s to %s", before.Stage, after.Stage)
	}
	b.wantTrace(node1, "asks from 127.0.0.9", "DHCP gave 127.0.0.1 to this machine")
}

// TestGRUBCommandLine: no word of a command line becomes a command of GRUB's, and a
// word that GRUB would change is refused.
func TestGRUBCommandLine(t *testing.T) {
	b := newSecureBed(t)
	b.kit(node1)
	for cmdline, want := range map[string]string{
		"a; reboot":            "'a;' 'reboot'",
		"$root ${x}":           "'$root' '${x}'",
		`x="a b" && || # {} >`: "'x=a b' '&&' '||' '#' '{}' '>'",
		`it's`:                 "",
		`back\slash`:           "",
	} {
		b.change(node1, func(s *provision.Spec) { s.Cmdline = cmdline })
		config := b.grubConfig(node1)
		if install := strings.Contains(config, "cloudlets.token="); install != (want != "") || !strings.Contains(config, want) {
			t.Errorf("%q: want %s in\n%s", cmdline, want, config)
		}
	}
	b.wantTrace(node1, "which GRUB would change")
}

// TestBootFilesOfOthers: TFTP has only what machines boot, and no file of a machine
// that has no MAC.
func TestBootFilesOfOthers(t *testing.T) {
	b := newSecureBed(t)
	kit := b.kit(node1)
	digest := strings.TrimPrefix(kit.Kernel.Digest, "sha256:")
	for _, name := range []string{
		"grub", "grub/machine", "grub/machine/x/grub.cfg", "grub/machine/" + string(node1) + "/other.cfg", "grub/machine/" + string(node1),
		"files/" + digest, "files/none/vmlinuz", "files/" + digest[:63] + "/vmlinuz", "files/x/" + digest + "/vmlinuz", "memo/x", "secret.txt",
	} {
		if f, err := b.BootFiles(netip.Addr{}).Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
}

// TestTFTPDownloadsAreBounded: a large file of the depot waits for its turn by TFTP
// as by HTTP, and the turn ends when the file is closed.
func TestTFTPDownloadsAreBounded(t *testing.T) {
	b := newSecureBed(t)
	digest := strings.Repeat("ab", 32)
	must(t, os.WriteFile(b.Depot.Path("sha256:"+digest), make([]byte, smallFile+1), 0o600))
	name := "files/" + digest + "/ramdisk"
	files := bootFiles{b.Chain, netip.Addr{}}
	var open []fs.File
	for range strangerDownloads {
		f, err := files.OpenFor(t.Context(), loopback, name)
		must(t, err)
		open = append(open, f)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if _, err := files.OpenFor(ended, loopback, name); !errors.Is(err, context.Canceled) {
		t.Errorf("one more than %d downloads at once: %v", strangerDownloads, err)
	}
	for _, f := range open {
		must(t, f.Close())
	}
	f, err := files.OpenFor(t.Context(), loopback, name)
	must(t, err)
	must(t, f.Close())
}

// TestSecureBootByDHCP: shim for PXE, a reason for HTTP Boot, where GRUB would hang,
// and the script for an iPXE, which no Secure Boot kept from starting.
func TestSecureBootByDHCP(t *testing.T) {
	b := newSecureBed(t)
	b.addARM64()
	files := startTFTP(t, b.Chain)
	for _, c := range []struct {
		kind     dhcp.Kind
		firmware dhcp.Firmware
		file     string
		reason   string
	}{
		{dhcp.PXE, dhcp.EFIX64, "shimx64.efi", ""},
		{dhcp.PXE, dhcp.EFIARM64, "shimaa64.efi", ""},
		{dhcp.PXE, dhcp.BIOS, "undionly.kpxe", ""},
		{dhcp.HTTPBoot, dhcp.EFIX64, "", `choose "UEFI PXEv4"`},
		{dhcp.OwnIPXE, dhcp.EFIX64, dialect.ScriptURL(b.Base, node1), ""},
	} {
		b.change(node1, func(s *provision.Spec) { s.Image = imageFor(c.firmware) })
		boot := b.Boot(t.Context(), dhcp.Client{MAC: node1.HardwareAddr(), Kind: c.kind, Firmware: c.firmware, HTTP: true})
		if boot.File != c.file || !strings.Contains(boot.Reason, c.reason) {
			t.Errorf("%s %s boots %+v, want %s", c.firmware, c.kind, boot, c.file)
		}
	}
	b.Proxy = func(netip.Addr) bool { return true }
	pxe := dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.PXE, Firmware: dhcp.EFIX64}
	if boot := b.Boot(t.Context(), pxe); boot.File != "" || !strings.Contains(boot.Reason, "beside another DHCP server") {
		t.Errorf("as proxy it boots %+v", boot)
	}
	b.change(node1, func(s *provision.Spec) { s.Quirks.BootFile = "shimx64.efi" })
	if boot := b.Boot(t.Context(), pxe); boot.File != "shimx64.efi" {
		t.Errorf("as proxy with the quirk it boots %+v", boot)
	}
	for name, want := range map[string]string{
		"shimx64.efi": "shimx64.efi.signed", "grubx64.efi": "grubnetx64.efi.signed", "mmx64.efi": "mmx64.efi.signed",
		"shimaa64.efi": "shimaa64.efi.signed", "grubaa64.efi": "grubnetaa64.efi.signed",
	} {
		if text, err := files.fetch(name); err != nil || !strings.HasPrefix(string(text), "this is "+want) {
			t.Errorf("%s by TFTP: %.40q, %v", name, text, err)
		}
	}
}

// TestROMWithoutBzImage: an option ROM that is an iPXE, and cannot start a kernel on
// BIOS, loads our own iPXE. On UEFI the firmware starts kernels.
func TestROMWithoutBzImage(t *testing.T) {
	b := newBed(t, nil)
	rom := dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.IPXE, Firmware: dhcp.BIOS, HTTP: true}
	if boot := b.Boot(t.Context(), rom); boot.File != "tftp://127.0.0.1/undionly.kpxe" {
		t.Errorf("without bzImage it boots %+v", boot)
	}
	b.change(node1, func(s *provision.Spec) { s.Quirks.BootFile = "ipxe.pxe" })
	if boot := b.Boot(t.Context(), rom); boot.File != "tftp://127.0.0.1/ipxe.pxe" {
		t.Errorf("with a quirk and without bzImage it boots %+v", boot)
	}
	rom.BzImage = true
	if boot := b.Boot(t.Context(), rom); boot.File != dialect.ScriptURL(b.Base, node1) {
		t.Errorf("with bzImage it boots %+v", boot)
	}
	rom.Firmware, rom.BzImage = dhcp.EFIX64, false
	if boot := b.Boot(t.Context(), rom); boot.File != dialect.ScriptURL(b.Base, node1) {
		t.Errorf("on UEFI it boots %+v", boot)
	}
}
