package httpboot

import (
	"errors"
	"io/fs"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision"
)

// addPiFirmware adds to the image for arm64 what Debian's raspi-firmware and its kernel
// have.
func (b *bed) addPiFirmware() {
	b.t.Helper()
	for _, name := range []string{
		"usr/lib/raspi-firmware/start4.elf", "usr/lib/raspi-firmware/fixup4.dat",
		"usr/lib/linux-image-" + kernelVersion + "/broadcom/bcm2711-rpi-4-b.dtb",
		"usr/lib/linux-image-" + kernelVersion + "/overlays/vc4-kms-v3d.dtbo",
	} {
		write(b.t, filepath.Join(b.site.images, arm64Image, name), []byte("this is "+filepath.Base(name)))
	}
}

// newPiBed is a bed whose node1 is a Raspberry Pi with an image for it.
func newPiBed(t testing.TB) *bed {
	t.Helper()
	b := newBed(t, nil)
	b.addARM64()
	b.addPiFirmware()
	b.change(node1, func(s *provision.Spec) { s.Image = arm64Image })
	return b
}

// piAsks are the files that a Pi 4 was seen to ask for, in that order: first its
// EEPROM, and then start4.elf, which asks for those of the configuration. The logs are
// those of the project rpi-eeprom; newer firmware may ask for more.
var piAsks = []struct {
	file string
	has  string // the beginning of its content; "" if it is absent
}{
	{"start4.elf", "this is start4.elf"},
	{"config.txt", "arm_64bit=1\n"},
	{"vl805.sig", ""},
	{"pieeprom.sig", ""},
	{"recover4.elf", ""},
	{"recovery.elf", ""},
	{"start4.elf", "this is start4.elf"},
	{"fixup4.dat", "this is fixup4.dat"},
	{"config.txt", "arm_64bit=1\n"},
	{"dt-blob.bin", ""},
	{"bootcfg.txt", ""},
	{"upstream/vmlinuz", ""},
	{"ramdisk", "\x1f\x8b"},
	{"bcm2711-rpi-4-b.dtb", "this is bcm2711-rpi-4-b.dtb"},
	{"overlays/overlay_map.dtb", ""},
	{"overlays/vc4-kms-v3d.dtbo", "this is vc4-kms-v3d.dtbo"},
	{"cmdline.txt", "quiet "},
	{"armstub8-gic.bin", ""},
	{"vmlinuz", "\x00"},
}

// TestPiBoots fetches what a Raspberry Pi does, in each way in which it names its
// folder.
func TestPiBoots(t *testing.T) {
	b := newPiBed(t)
	kit := b.kit(node1)
	b.startsAt(node1, "127.0.0.1")
	at := startTFTP(t, b.Chain).at
	for _, folder := range []string{"9ffefdef", "52-54-00-00-00-01"} {
		for _, ask := range piAsks {
			text, err := fetchTFTP(at, folder+"/"+ask.file)
			if ask.has == "" && err == nil || ask.has != "" && (err != nil || !strings.HasPrefix(text, ask.has)) {
				t.Errorf("%s/%s is %.40q (%v), want %q", folder, ask.file, text, err, ask.has)
			}
			switch ask.file {
			case "config.txt":
				golden(t, "config.txt", text)
			case "cmdline.txt":
				token := text[strings.Index(text, "cloudlets.token=")+len("cloudlets.token="):][:32]
				golden(t, "cmdline.txt", text, b.Base, "http://10.77.0.1", token, "TOKEN")
			case "vmlinuz":
				if int64(len(text)) != kit.Kernel.Size {
					t.Errorf("the kernel has %d bytes, want %d", len(text), kit.Kernel.Size)
				}
			}
		}
	}
	b.wantTrace(node1, "boots kernel "+kernelVersion+" of web-arm64 to install it")
	if trace := b.trace(node1); strings.Contains(trace, "could not fetch") {
		t.Errorf("what a Pi asks for in vain is in the trace:\n%s", trace)
	}
	request := b.request(node1)
	request.Inventory.Arch = "arm64"
	b.claimAs(request)
}

// piSees is how the server sees a Pi ask for a file in vain.
func (b *bed) piSees(name string) {
	b.t.Helper()
	_, err := bootFiles{b.Chain, netip.Addr{}}.OpenFor(b.t.Context(), loopback, name)
	if !errors.Is(err, fs.ErrNotExist) {
		b.t.Errorf("%s: %v, want that it does not exist", name, err)
	}
	b.Machines.SawTransfer(loopback, name, 0, err)
}

// TestPiLocal: a Pi that shall not install, or that nobody knows, finds no file at all,
// with which its firmware goes to the next boot mode.
func TestPiLocal(t *testing.T) {
	b := newPiBed(t)
	b.kit(node1)
	at := startTFTP(t, b.Chain).at
	allAbsent := func(folder string) {
		t.Helper()
		for _, ask := range piAsks {
			if text, err := fetchTFTP(at, folder+"/"+ask.file); err == nil {
				t.Errorf("%s/%s is %.40q", folder, ask.file, text)
			}
		}
	}
	allAbsent("9ffefdef") // DHCP gave nobody this address
	allAbsent("52-54-00-00-00-99")
	b.startsAt(node1, "127.0.0.1")
	b.change(node1, func(s *provision.Spec) { s.InstallOnce = false })
	allAbsent("9ffefdef")
	allAbsent("52-54-00-00-00-01")
	b.piSees("9ffefdef/start4.elf")
	b.wantTrace(node1, "could not fetch 9ffefdef/start4.elf", "no install is armed")
}

// TestPiWithoutFirmware: the trace tells what the image needs.
func TestPiWithoutFirmware(t *testing.T) {
	b := newBed(t, nil)
	b.addARM64()
	b.change(node1, func(s *provision.Spec) { s.Image = arm64Image })
	b.kit(node1)
	b.startsAt(node1, "127.0.0.1")
	b.piSees("9ffefdef/start4.elf")
	b.wantTrace(node1, "could not fetch 9ffefdef/start4.elf", "install Debian's raspi-firmware")
}

// TestPiWithAnotherImage: a Pi with an image for other machines finds no file, so that
// its firmware does not start a kernel that cannot run. The trace says why.
func TestPiWithAnotherImage(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	b.startsAt(node1, "127.0.0.1")
	for _, file := range []string{"start4.elf", "config.txt", "cmdline.txt", "ramdisk", "vmlinuz"} {
		b.piSees("9ffefdef/" + file)
	}
	b.wantTrace(node1, "could not fetch 9ffefdef/start4.elf", "it is for amd64, and the machine is arm64")
	if trace := b.trace(node1); strings.Contains(trace, "boots kernel") {
		t.Errorf("it is given a command line:\n%s", trace)
	}
}

// TestPiWithoutCommandLine: the install is called off while a Pi loads its files, and
// then armed again. The Pi has found no command line meanwhile, so it gets no kernel
// that it would start without one. Its next boot is whole.
func TestPiWithoutCommandLine(t *testing.T) {
	b := newPiBed(t)
	b.kit(node1)
	b.startsAt(node1, "127.0.0.1")
	got := func(file string) {
		t.Helper()
		f, err := bootFiles{b.Chain, netip.Addr{}}.OpenFor(t.Context(), loopback, "9ffefdef/"+file)
		must(t, err)
		must(t, f.Close())
	}
	got("start4.elf")
	got("ramdisk")
	b.change(node1, func(s *provision.Spec) { s.InstallOnce = false })
	b.piSees("9ffefdef/cmdline.txt")
	b.change(node1, func(s *provision.Spec) { s.InstallOnce = true })
	b.piSees("9ffefdef/vmlinuz")
	b.piSees("9ffefdef/ramdisk")
	b.wantTrace(node1, "could not fetch 9ffefdef/cmdline.txt", "no install is armed", "could not fetch 9ffefdef/vmlinuz", "told no command line in this boot")
	for _, file := range []string{"start4.elf", "ramdisk", "cmdline.txt", "vmlinuz"} {
		got(file)
	}
}

// TestPiNames: only the names of a Pi's folders are taken for such.
func TestPiNames(t *testing.T) {
	b := newPiBed(t)
	b.kit(node1)
	b.startsAt(node1, "127.0.0.1")
	for _, name := range []string{
		"start4.elf", "9ffefdef", "9FFEFDEF/start4.elf", "9ffefde/start4.elf", "9ffefdxx/start4.elf", "525400000001/start4.elf",
		"9ffefdef/../start4.elf", "9ffefdef/sbin/init", "9ffefdef/../../../sbin/init", "9ffefdef/", "9ffefdef/overlays",
	} {
		if f, err := (bootFiles{b.Chain, netip.Addr{}}).OpenFor(t.Context(), loopback, name); err == nil {
			t.Errorf("%s is a file: %v", name, f)
		}
	}
	b.piSees("9ffefdef/vl805.sig")
	if trace := b.trace(node1); strings.Contains(trace, "vl805") {
		t.Errorf("the trace has what may be absent:\n%s", trace)
	}
}

// TestPiByDHCP: the firmware of a Raspberry Pi reads no file name, and wants one all
// the same: without it there is no boot menu for it.
func TestPiByDHCP(t *testing.T) {
	b := newBed(t, nil)
	client := dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.PXE, Firmware: dhcp.RaspberryPi}
	if boot := b.Boot(t.Context(), client); boot.File != "52-54-00-00-00-01/start4.elf" {
		t.Errorf("it boots %+v", boot)
	}
	b.change(node1, func(s *provision.Spec) { s.InstallOnce = false })
	if boot := b.Boot(t.Context(), client); boot.File != "" {
		t.Errorf("to its disk it boots %+v", boot)
	}
}
