package httpboot

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"cloudlets/images/boot"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/wire"
)

// scriptWait is how long a request for a script waits for an image that is
// still being packed. Then the machine is told to ask again.
const scriptWait = 20 * time.Second

// script answers an iPXE: what to do now, as a script.
func (c *Chain) script(w http.ResponseWriter, r *http.Request) {
	mac, err := provision.ParseMAC(r.PathValue("mac"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return // HEAD has no effect; in particular it does not invalidate the current token
	}
	text, event := c.writeScript(r.Context(), mac)
	event.MAC = mac
	if warning := c.foreign(mac, r); warning != "" {
		// A person or another host looks. The machine is where it was.
		event.Reason, event.Stage, event.Facts = event.Reason+"; "+warning, "", nil
	} else {
		event.Reason += "; asked from " + remoteAddr(r).String()
		c.sawHost(mac, r)
	}
	c.record(r.Context(), event)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}

// writeScript decides and tells, for the machine and for its trace.
func (c *Chain) writeScript(ctx context.Context, mac provision.MAC) (string, provision.Event) {
	spec, decision := c.decide(mac)
	event := provision.Event{Kind: provision.KindDecision, Reason: decision.Reason}
	switch decision.Action {
	case provision.ActionLocal:
		event.Stage, event.Text = provision.StageLocal, "sent to its own disk"
		return localScript(decision.Reason), event
	case provision.ActionDiscover:
		event.Stage, event.Text = provision.StageStranger, "let go to its next boot device"
		return localScript(decision.Reason), event
	}
	wait, stop := context.WithTimeout(ctx, scriptWait)
	defer stop()
	kit, err := c.Depot.Kit(wait, kitKey(spec))
	if err != nil && wait.Err() != nil {
		event.Text, event.Reason = "told to ask again in a moment", err.Error()
		return waitScript(c.base(ctx), mac), event
	}
	if err != nil {
		event.Text, event.Reason = "not installed: its image cannot be booted", err.Error()
		return localScript(err.Error()), event
	}
	text, err := c.installScript(ctx, spec, kit)
	if err != nil {
		event.Text, event.Reason = "not installed", err.Error()
		return localScript(err.Error()), event
	}
	event.Stage = provision.StageKernel
	event.Text = fmt.Sprintf("boots kernel %s of %s to install it", kit.Kernels[0].Version, spec.Image)
	event.Facts = map[string]string{"image": spec.Image, "hostname": hostname(spec)}
	return text, event
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

// installScript boots the image's own kernel into the RAM disk. The name after
// initrd= is how the kernel's EFI stub finds the RAM disk.
func (c *Chain) installScript(ctx context.Context, spec *provision.Spec, kit *depot.Kit) (string, error) {
	image, err := c.imageOf(ctx, spec, kit, provision.Inventory{})
	if err != nil {
		return "", fmt.Errorf("machine %s: %w", spec.MAC, err)
	}
	// The words are those of the disk, since this kernel may switch to it.
	asked := image.Menu(diskOptions(spec))[0].Cmdline
	if err := checkWords(asked); err != nil {
		return "", fmt.Errorf("the kernel command line of %s: %w", spec.MAC, err)
	}
	token, err := c.Tickets.Issue(ctx, spec.MAC)
	if err != nil {
		return "", err
	}
	params := wire.Params{Servers: c.servers(ctx), MAC: spec.MAC, Token: token}
	words := boot.JoinWords("initrd=ramdisk", asked, params.Cmdline())
	var b bytes.Buffer
	fmt.Fprintf(&b, "#!ipxe\necho cloudlets: installing %s on %s\n", plain(spec.Image), spec.MAC)
	for _, step := range []struct{ name, command string }{
		{"kernel", "kernel " + c.base(ctx) + depot.FilePath(kit.Kernel.Digest, "vmlinuz") + " " + ipxeText(words)},
		{"ramdisk", "initrd --name ramdisk " + c.base(ctx) + depot.FilePath(kit.RAMDisk.Digest, "ramdisk")},
	} {
		fmt.Fprintf(&b, fetchStep, step.name, step.command, retries, retryAfter)
	}
	b.WriteString("boot ||\n:failed\necho cloudlets: this machine could not be booted; the reason is above\nsleep 10\nexit 1\n")
	return b.String(), nil
}

// localScript leaves the network: on BIOS to the first disk, on UEFI to the
// next entry of the boot order, where "exit 1" says that this one failed.
func localScript(reason string) string {
	return "#!ipxe\necho cloudlets: " + plain(reason) + "\n" +
		"iseq ${platform} efi && exit 1 ||\nsanboot --no-describe --drive 0x80 || exit 1\n"
}

func waitScript(base string, mac provision.MAC) string {
	return "#!ipxe\necho cloudlets: the image is being packed\nsleep 3\nchain --replace " + scriptURL(base, mac) + " || exit 1\n"
}

// plain is text that iPXE's shell prints as it is.
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
