package dialect

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"cloudlets/images/disk/bootloader"
	"cloudlets/provision"
)

// GRUB is the dialect of Debian's signed GRUB: configurations, and files by TFTP,
// since the signed image has no module for HTTP and Secure Boot lets it load none.
type GRUB struct {
	TFTP netip.Addr // the TFTP server, from which GRUB fetches files
}

var _ Dialect = GRUB{}

const (
	// grubPause is how many seconds GRUB waits before it asks again, and grubAsks how
	// often it does: half an hour, in which an image is packed.
	grubPause = 5
	grubAsks  = 360
	// grubTries is how often GRUB tries to load a file. It cannot tell a server that
	// is busy from a kernel whose signature is bad, so it does not try for long. A
	// server that does not answer costs it half a minute for each try.
	grubTries = 3
)

// grubRoot is GRUB's own prefix, below which it looks for all its files.
const grubRoot = "grub/"

// GRUB asks for the configuration GRUBConfig of a machine in the folder of its MAC below
// GRUBMachines, and for GRUBFailed there when it could not load what that names.
const (
	GRUBMachines = "grub/machine/"
	GRUBConfig   = "grub.cfg"
	GRUBFailed   = "failed.cfg"
)

// IsGRUBStart says whether a name is one of those under which Debian's signed GRUB asks
// for its first configuration. It asks for the one in its platform's folder first.
func IsGRUBStart(name string) bool {
	return name == grubRoot+"x86_64-efi/"+GRUBConfig || name == grubRoot+"arm64-efi/"+GRUBConfig || name == grubRoot+GRUBConfig
}

// Patience is less than the time after which GRUB asks again by TFTP.
func (GRUB) Patience() time.Duration { return time.Second }

func (g GRUB) file(name string) string { return "(tftp," + g.TFTP.String() + ")/" + name }

// Start returns the first configuration, which is the same for all machines: it
// reads the one of the machine, by the MAC of the interface that GRUB came from,
// until that starts something.
func (g GRUB) Start() string {
	return "for try in " + countTo(grubAsks) + "; do\n" +
		"  source " + g.file(GRUBMachines) + "$net_default_mac/" + GRUBConfig + "\n" +
		fmt.Sprintf("  sleep %d\ndone\n", grubPause) + g.Leave("the server does not say what to do")
}

// Boot starts a program. If GRUB cannot load a file, it asks for another
// configuration, which tells the server.
func (g GRUB) Boot(p Program) (string, error) {
	words, err := bootloader.GRUBWords(p.Cmdline)
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
		fmt.Fprintf(&b, grubStep, step.what, countTo(grubTries), step.command, RetryAfter, g.file(GRUBMachines+string(p.MAC)+"/"+GRUBFailed))
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

// Again returns to the first configuration, which asks again.
func (GRUB) Again(_ provision.MAC, reason string) string {
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

// Leave starts the boot loader of a disk.
func (GRUB) Leave(reason string) string {
	return "echo 'cloudlets: " + plain(reason) + "'\n" + fmt.Sprintf(grubLeave, diskLoaders)
}
