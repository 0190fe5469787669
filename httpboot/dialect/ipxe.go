package dialect

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"cloudlets/images/boot"
	"cloudlets/provision"
	"cloudlets/provision/depot"
)

// retries is how often iPXE tries to fetch a file before it gives up, with
// RetryAfter seconds in between: ten minutes, as long as an agent. The server may
// be restarted meanwhile, or have too much to do.
const retries = 75

// fetchStep fetches one file, with retries: a name, the command, how often.
const fetchStep = `set tries:int32 0
:%[1]s
%[2]s && goto have_%[1]s ||
inc tries
iseq ${tries} %[3]d && goto failed ||
sleep %[4]s
goto %[1]s
:have_%[1]s
`

// IPXE is the dialect of iPXE: scripts, and files by HTTP.
type IPXE struct {
	Base string // the URL of the server, without a slash at its end
}

var _ Dialect = IPXE{}

// Patience is [AnswerWait].
func (IPXE) Patience() time.Duration { return AnswerWait }

// Boot starts a program. The name after initrd= is how the kernel's EFI stub finds
// the RAM disk.
func (i IPXE) Boot(p Program) (string, error) {
	if err := checkWords(p.Cmdline); err != nil {
		return "", err
	}
	words := p.Cmdline
	if p.RAMDisk.Digest != "" {
		words = boot.JoinWords("initrd=ramdisk", words)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "#!ipxe\necho cloudlets: %s\n", plain(p.Title()))
	steps := []struct{ name, command string }{
		{"kernel", "kernel " + i.Base + depot.FilePath(p.Kernel.Digest, "vmlinuz") + " " + ipxeText(words)},
		{"ramdisk", "initrd --name ramdisk " + i.Base + depot.FilePath(p.RAMDisk.Digest, "ramdisk")},
	}
	if p.RAMDisk.Digest == "" {
		steps = steps[:1]
	}
	for _, step := range steps {
		fmt.Fprintf(&b, fetchStep, step.name, step.command, retries, RetryAfter)
	}
	b.WriteString("boot ||\n:failed\necho cloudlets: this machine could not be booted; the reason is above\nsleep 10\nexit 1\n")
	return b.String(), nil
}

// Leave leaves the network: on BIOS to the first disk, on UEFI to the next entry
// of the boot order, where "exit 1" says that this one failed.
func (IPXE) Leave(reason string) string {
	return "#!ipxe\necho cloudlets: " + plain(reason) + "\n" +
		"iseq ${platform} efi && exit 1 ||\nsanboot --no-describe --drive 0x80 || exit 1\n"
}

// Again fetches the script once more after three seconds.
func (i IPXE) Again(mac provision.MAC, reason string) string {
	return "#!ipxe\necho cloudlets: " + plain(reason) + "\nsleep 3\nchain --replace " + ScriptURL(i.Base, mac) + " || exit 1\n"
}

// ipxeText is a command line that iPXE passes on as it is: a "${" would begin
// one of its own variables.
func ipxeText(text string) string {
	return strings.ReplaceAll(text, "${", "$ {")
}

// checkWords refuses words that iPXE would take for its own syntax: what comes
// after them would be lost, the token among it. iPXE knows no quotes, so it takes them
// in the middle of a quoted word too.
func checkWords(cmdline string) error {
	for _, word := range strings.Fields(cmdline) {
		if word == "&&" || word == "||" || strings.HasPrefix(word, "#") {
			return fmt.Errorf("iPXE would not pass the word %q on; take it out of \"cmdline\" in the machine's file or the image's manifest", word)
		}
	}
	return nil
}

// ScriptURL is the URL of a machine's script on the server at the URL base.
func ScriptURL(base string, mac provision.MAC) string {
	return base + "/boot/" + string(mac) + "/script"
}
