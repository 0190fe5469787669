package httpboot

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"cloudlets/images/disk"
	"cloudlets/provision"
	"cloudlets/provision/depot"
)

// grub is the dialect of Debian's signed GRUB: configurations, and files by TFTP,
// since the signed image has no module for HTTP and Secure Boot lets it load none.
type grub struct{ tftp netip.Addr }

var _ dialect = grub{}

const (
	// grubPatience is less than the time after which GRUB asks again by TFTP.
	grubPatience = time.Second
	// grubPause is how many seconds GRUB waits before it asks again, and grubAsks how
	// often it does: half an hour, in which an image is packed.
	grubPause = 5
	grubAsks  = 360
	// grubTries is how often GRUB tries to load a file. It cannot tell a server that
	// is busy from a kernel whose signature is bad, so it does not try for long. A
	// server that does not answer costs it half a minute for each try.
	grubTries = 3
)

// Names below which GRUB's files are. GRUB's own prefix is "/grub".
const (
	grubRoot     = "grub/"
	grubMachines = "grub/machine/"
	grubConfig   = "grub.cfg"
	grubFailed   = "failed.cfg"
)

// grubStarts are the names under which Debian's signed GRUB asks for its first
// configuration, in that order.
var grubStarts = []string{grubRoot + "x86_64-efi/" + grubConfig, grubRoot + "arm64-efi/" + grubConfig, grubRoot + grubConfig}

func (grub) patience() time.Duration { return grubPatience }

func (g grub) file(name string) string { return "(tftp," + g.tftp.String() + ")/" + name }

// start returns the first configuration, which is the same for all machines: it
// reads the one of the machine, by the MAC of the interface that GRUB came from,
// until that starts something.
func (g grub) start() string {
	return "for try in " + countTo(grubAsks) + "; do\n" +
		"  source " + g.file(grubMachines) + "$net_default_mac/" + grubConfig + "\n" +
		fmt.Sprintf("  sleep %d\ndone\n", grubPause) + g.leave("the server does not say what to do")
}

// boot starts a program. If GRUB cannot load a file, it asks for another
// configuration, which tells the server.
func (g grub) boot(p Program) (string, error) {
	words, err := disk.GRUBWords(p.Cmdline)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "echo 'cloudlets: %s'\n", plain(p.Title()))
	steps := []struct{ what, command string }{
		{"kernel", "linux " + g.file(tftpName(p.Kernel, "vmlinuz")) + " " + words},
		{"ramdisk", "initrd " + g.file(tftpName(p.RAMDisk, "ramdisk"))},
	}
	if p.RAMDisk.Digest == "" {
		steps = steps[:1]
	}
	for _, step := range steps {
		fmt.Fprintf(&b, grubStep, step.what, countTo(grubTries), step.command, retryAfter, g.file(grubMachines+string(p.MAC)+"/"+grubFailed))
	}
	b.WriteString("boot\n")
	return b.String(), nil
}

// grubStep loads one file: its name, the tries, the command, the seconds between
// tries, and the configuration to read if all failed.
const grubStep = `set %[1]s=missing
for try in %[2]s; do
  if %[3]s; then
    set %[1]s=loaded
    break
  fi
  sleep %[4]s
done
if [ $%[1]s = missing ]; then
  source %[5]s
fi
`

// again returns to the first configuration, which asks again.
func (grub) again(_ provision.MAC, reason string) string {
	return "echo 'cloudlets: " + plain(reason) + "'\n"
}

// grubLeave starts the boot loader of a disk. GRUB's "exit" would not do: UEFI
// takes it for a success, and shows its own menu instead of the next boot entry. The
// loader is told that it comes from GRUB's root, so that must be the disk.
const grubLeave = `for loader in %s; do
  if search --no-floppy --file --set=root /EFI/$loader; then
    chainloader /EFI/$loader
    boot
  fi
done
echo 'cloudlets: no disk of this machine has a boot loader'
sleep 10
exit
`

// diskLoaders are boot loaders below a disk's folder EFI: the one that firmware
// takes by itself, which cloudlets have too, and those of other systems.
const diskLoaders = "BOOT/BOOTX64.EFI BOOT/BOOTAA64.EFI debian/shimx64.efi debian/shimaa64.efi ubuntu/shimx64.efi ubuntu/shimaa64.efi Microsoft/Boot/bootmgfw.efi"

func (grub) leave(reason string) string {
	return "echo 'cloudlets: " + plain(reason) + "'\n" + fmt.Sprintf(grubLeave, diskLoaders)
}

// tftpName is the name by which TFTP serves a file of the depot.
func tftpName(f depot.File, name string) string {
	return strings.TrimPrefix(depot.FilePath(f.Digest, name), "/")
}

// countTo is "1 2 3": GRUB's shell has no arithmetic.
func countTo(n int) string {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprint(i + 1)
	}
	return strings.Join(words, " ")
}
