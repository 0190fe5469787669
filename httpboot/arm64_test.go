package httpboot

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision"
)

// TestARM64GetsTheBestLoaderThereIs: an iPXE, by PXE and by HTTP Boot; without one
// GRUB, by PXE alone; and without that the reason says what to install.
func TestARM64GetsTheBestLoaderThereIs(t *testing.T) {
	b := newBed(t, nil)
	b.addARM64()
	b.change(node1, func(s *provision.Spec) { s.Image = arm64Image })
	b.Loaders.Root = t.TempDir() // what this host has installed does not count
	files := startTFTP(t, b.Chain)
	boot := func(kind dhcp.Kind) dhcp.Boot {
		return b.Boot(t.Context(), dhcp.Client{MAC: node1.HardwareAddr(), Kind: kind, Firmware: dhcp.EFIARM64})
	}
	named := func(name, content, byHTTP string) {
		t.Helper()
		if got := boot(dhcp.PXE); got.File != name {
			t.Errorf("by PXE it boots %+v, want %s", got, name)
		}
		if text, err := files.fetch(name); err != nil || !strings.HasPrefix(string(text), "this is "+content) {
			t.Errorf("%s by TFTP is %.40q, %v", name, text, err)
		}
		if got := boot(dhcp.HTTPBoot); got.File != byHTTP {
			t.Errorf("by HTTP Boot it boots %+v, want %q", got, byHTTP)
		}
	}
	remove := func(name string) { must(t, os.Remove(filepath.Join(b.dir, "assets", name))) }

	named("snponly-arm64.efi", "snponly-arm64.efi", b.Base+"/loader/snponly-arm64.efi")
	remove("snponly-arm64.efi")
	named("ipxe-arm64.efi", "ipxe-arm64.efi", b.Base+"/loader/ipxe-arm64.efi")
	remove("ipxe-arm64.efi")
	named("grubnetaa64.efi", "grubnetaa64.efi", "")
	remove("grubnetaa64.efi")
	named("grubaa64.efi", "grubnetaa64.efi.signed", "")

	if got := boot(dhcp.HTTPBoot); !strings.Contains(got.Reason, "no iPXE for") || !strings.Contains(got.Reason, `choose "UEFI PXEv4"`) || strings.Contains(got.Reason, "secureBoot") {
		t.Errorf("by HTTP Boot, the reason is %q", got.Reason)
	}
	b.Proxy = func(netip.Addr) bool { return true }
	if got := boot(dhcp.PXE); got.File != "" || !strings.Contains(got.Reason, "beside another DHCP server") || !strings.Contains(got.Reason, `"bootFile": "grubaa64.efi"`) {
		t.Errorf("as proxy it boots %+v", got)
	}

	if name, err := b.Loaders.CheckARM64(); name != "grubaa64.efi" || err != nil {
		t.Errorf("the check finds %q, %v", name, err)
	}
	remove("grubnetaa64.efi.signed")
	_, err := b.Loaders.CheckARM64()
	for _, want := range []string{"arm64 cannot boot", "snponly-arm64.efi", "ipxe of Debian 13", "grub-efi-arm64-bin:arm64"} {
		if got := boot(dhcp.PXE); got.File != "" || !strings.Contains(got.Reason, want) || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without a loader it boots %+v, and the check says %v; want %q", got, err, want)
		}
	}
}

// TestAnImageForOtherMachinesIsNotStarted: a machine whose processor the image's
// kernel is not for is named nothing, with that reason. It would fetch the kernel,
// fail, and begin again.
func TestAnImageForOtherMachinesIsNotStarted(t *testing.T) {
	b := newBed(t, nil)
	b.addARM64()
	boot := func(image string, kind dhcp.Kind, firmware dhcp.Firmware) dhcp.Boot {
		b.change(node1, func(s *provision.Spec) { s.Image = image })
		b.kit(node1)
		return b.Boot(t.Context(), dhcp.Client{MAC: node1.HardwareAddr(), Kind: kind, Firmware: firmware, HTTP: true, BzImage: true})
	}
	for _, c := range []struct {
		firmware                 dhcp.Firmware
		arch, image, want, words string
	}{
		{dhcp.RaspberryPi, "", "web", "", "it is for amd64, and the machine is arm64"},
		{dhcp.RaspberryPi, "", arm64Image, "52-54-00-00-00-01/start4.elf", ""},
		{dhcp.UBoot, "arm64", "web", "", "it is for amd64, and the machine is arm64"},
		{dhcp.UBoot, "arm", arm64Image, "", "it is for arm64, and the machine is arm:"},
		{dhcp.UBoot, "arm64", arm64Image, "boot.scr.uimg", ""},
		{dhcp.UBoot, "", "web", "boot.scr.uimg", ""}, // its packet does not tell
	} {
		b.change(node1, func(s *provision.Spec) { s.Image = c.image })
		b.kit(node1)
		got := b.Boot(t.Context(), dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.PXE, Firmware: c.firmware, Arch: c.arch})
		if got.File != c.want || !strings.Contains(got.Reason, c.words) {
			t.Errorf("%s %s with the image %s boots %+v; want %q, %q", c.firmware, c.arch, c.image, got, c.want, c.words)
		}
	}
	for _, kind := range kinds {
		for firmware, words := range map[dhcp.Firmware]string{
			dhcp.BIOS: "it is for arm64, and the machine is amd64", dhcp.EFIX64: "it is for arm64, and the machine is amd64", dhcp.EFIARM64: "it is for amd64, and the machine is arm64",
		} {
			wrong := arm64Image
			if firmware == dhcp.EFIARM64 {
				wrong = "web"
			}
			if got := boot(wrong, kind, firmware); got.File != "" || !strings.Contains(got.Reason, words) {
				t.Errorf("%s %s with the image %s boots %+v; want %q", firmware, kind, wrong, got, words)
			}
			if got := boot(imageFor(firmware), kind, firmware); got.File == "" {
				t.Errorf("%s %s with the right image boots %+v", firmware, kind, got)
			}
		}
	}
}
