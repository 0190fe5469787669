package dialect

import (
	"fmt"
	"strings"
	"time"

	"cloudlets/provision"
)

// UBoot is the dialect of U-Boot: what its command "pxe get" fetches by TFTP, in
// the syntax of EXTLINUX. U-Boot passes its own device tree to the kernel, since the
// configuration names none.
type UBoot struct{}

var _ Dialect = UBoot{}

// Names of U-Boot's files.
const (
	// UBootScript is the script that U-Boot fetches and runs if it boots from the
	// network without further orders. U-Boot looks for all other files in the folder
	// of the file that DHCP names, so this name has no folder.
	UBootScript = "boot.scr.uimg"
	// UBootMachines is the folder of the machines' configurations. The name of each is
	// "01-" and the MAC with dashes.
	UBootMachines = "pxelinux.cfg/"
	// ubootTrees is the folder in which U-Boot looks for a device tree, when it has the
	// boot loader of a UEFI machine.
	ubootTrees = "dtb/"
)

// ubootPause is how many seconds U-Boot waits before it asks again, and ubootAsks how
// often it does: half an hour, in which an image is packed.
const (
	ubootPause = 5
	ubootAsks  = 360
)

// ubootStart runs whatever the machine's configuration says, and asks again. A label
// with "localboot 0" runs the commands in localcmd, which end that. A label with
// "localboot -1", or one whose files do not come, returns without them. U-Boot's shell
// has no "break", so the loop goes through its other rounds and does nothing in them.
const ubootStart = `setenv cloudlets_localcmd "${localcmd}"
setenv localcmd 'setenv cloudlets local'
setenv cloudlets again
for try in %s; do
  if test "${cloudlets}" = again; then
    if pxe get; then
      pxe boot
    else
      setenv cloudlets local
    fi
    if test "${cloudlets}" = again; then
      sleep %d
    fi
  fi
done
setenv localcmd "${cloudlets_localcmd}"
setenv cloudlets
setenv cloudlets_localcmd
`

// Start returns the script that is the same for all machines, as a file that U-Boot runs.
// U-Boot's configurations alone cannot ask again.
func (UBoot) Start() string {
	return scriptImage(fmt.Sprintf(ubootStart, countTo(ubootAsks), ubootPause))
}

// Patience is more than the 5 s after which U-Boot asks again by TFTP: the server
// answers one of its requests, and drops those that repeat it.
func (UBoot) Patience() time.Duration { return AnswerWait }

// Boot starts a program. The RAM disk comes before the command line, where U-Boot
// would look for the word "initrd=" otherwise. The command line is made one line, since
// another one would be one of the configuration.
func (UBoot) Boot(p Program) (string, error) {
	if strings.ContainsAny(p.Cmdline, `'\$`) {
		return "", fmt.Errorf(`U-Boot would change %q, since it has ', \ or $ in it; take them out of "cmdline" in the machine's file or the image's manifest`, p.Cmdline)
	}
	lines := []string{"kernel " + tftpName(p.Kernel, "vmlinuz")}
	if p.RAMDisk.Digest != "" {
		lines = append(lines, "initrd "+tftpName(p.RAMDisk, "ramdisk"))
	}
	return extlinuxLabel(p.Title(), append(lines, "append "+strings.Join(strings.Fields(p.Cmdline), " "))...), nil
}

// Again returns to the script, which asks again. Without the script, U-Boot goes on to
// its next boot device.
func (UBoot) Again(_ provision.MAC, reason string) string {
	return extlinuxLabel(reason, "localboot -1")
}

// Leave goes on to U-Boot's next boot device, or runs the commands that the board has
// for that in localcmd.
func (UBoot) Leave(reason string) string { return extlinuxLabel(reason, "localboot 0") }

// extlinuxLabel is a configuration of one label, which U-Boot takes without a menu. It
// prints the text.
func extlinuxLabel(text string, lines ...string) string {
	return "default cloudlets\nlabel cloudlets\nmenu label cloudlets: " + plain(text) + "\n" + strings.Join(lines, "\n") + "\n"
}
