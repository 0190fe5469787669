package httpboot

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cloudlets/images/boot"
	"cloudlets/provision"
	"cloudlets/provision/depot"
)

// scriptWait is how long a request for a script waits for an image that is
// still being packed. Then the machine is told to ask again.
const scriptWait = 20 * time.Second

// script answers an iPXE: what to do now, as a script.
func (c *Chain) script(w http.ResponseWriter, r *http.Request) {
	c.answer(w, r, "text/plain; charset=utf-8", ipxe{c.scriptBase(r)})
}

// answer tells what to do now to somebody who asks by HTTP, in a dialect.
func (c *Chain) answer(w http.ResponseWriter, r *http.Request, contentType string, d dialect) {
	mac, err := provision.ParseMAC(r.PathValue("mac"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return // HEAD has no effect; in particular it does not invalidate the current token
	}
	text := c.tell(r.Context(), mac, remoteAddr(r), d)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}

// retries is how often iPXE tries to fetch a file before it gives up, with
// retryAfter seconds in between: ten minutes, as long as an agent. The server may
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

// ipxe is the dialect of iPXE: scripts, and files by HTTP.
type ipxe struct{ base string } // the URL of the server

var _ dialect = ipxe{}

func (ipxe) patience() time.Duration { return scriptWait }

// boot starts a program. The name after initrd= is how the kernel's EFI stub finds
// the RAM disk.
func (i ipxe) boot(p Program) (string, error) {
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
		{"kernel", "kernel " + i.base + depot.FilePath(p.Kernel.Digest, "vmlinuz") + " " + ipxeText(words)},
		{"ramdisk", "initrd --name ramdisk " + i.base + depot.FilePath(p.RAMDisk.Digest, "ramdisk")},
	}
	if p.RAMDisk.Digest == "" {
		steps = steps[:1]
	}
	for _, step := range steps {
		fmt.Fprintf(&b, fetchStep, step.name, step.command, retries, retryAfter)
	}
	b.WriteString("boot ||\n:failed\necho cloudlets: this machine could not be booted; the reason is above\nsleep 10\nexit 1\n")
	return b.String(), nil
}

// leave leaves the network: on BIOS to the first disk, on UEFI to the next entry
// of the boot order, where "exit 1" says that this one failed.
func (ipxe) leave(reason string) string {
	return "#!ipxe\necho cloudlets: " + plain(reason) + "\n" +
		"iseq ${platform} efi && exit 1 ||\nsanboot --no-describe --drive 0x80 || exit 1\n"
}

func (i ipxe) again(mac provision.MAC, reason string) string {
	return "#!ipxe\necho cloudlets: " + plain(reason) + "\nsleep 3\nchain --replace " + scriptURL(i.base, mac) + " || exit 1\n"
}

// plain is text that a boot loader's shell prints as it is.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e || strings.ContainsRune("$&|#;\"'`\\", r) {
			return ' '
		}
		return r
	}, text)
}

// ipxeText is a command line that iPXE passes on as it is: a "${" would begin
// one of its own variables.
func ipxeText(text string) string {
	return strings.ReplaceAll(text, "${", "$ {")
}

// checkWords refuses words that iPXE would take for its own syntax: what comes
// after them would be lost, the token among it.
func checkWords(cmdline string) error {
	for _, word := range strings.Fields(cmdline) {
		if word == "&&" || word == "||" || strings.HasPrefix(word, "#") {
			return fmt.Errorf("iPXE would not pass the word %q on; take it out of \"cmdline\" in the machine's file or the image's manifest", word)
		}
	}
	return nil
}
