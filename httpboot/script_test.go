package httpboot

import (
	"context"
	"flag"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/provision"
)

var update = flag.Bool("update", false, "write the golden scripts anew")

// golden compares a script with the file that a person has read. What differs
// from run to run is named instead.
func golden(t *testing.T, name, script string, replace ...string) {
	t.Helper()
	script = strings.NewReplacer(replace...).Replace(script)
	file := filepath.Join("testdata", "scripts", name)
	if *update {
		write(t, file, []byte(script))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if diff := cmp.Diff(string(want), script); diff != "" {
		t.Errorf("script differs from %s (-want +got):\n%s", file, diff)
	}
}

func (b *bed) script(mac provision.MAC) string {
	b.t.Helper()
	a := b.get("/boot/"+string(mac)+"/script").want(b.t, http.StatusOK, "#!ipxe\n")
	if got := a.Header.Get("Cache-Control"); got != "no-store" {
		b.t.Errorf("a script may be cached: %q", got)
	}
	return a.body
}

func TestInstallScript(t *testing.T) {
	b := newBed(t, nil)
	kit := b.kit(node1)
	script := b.script(node1)
	_, rest, _ := strings.Cut(script, "cloudlets.token=")
	token := rest[:32]
	golden(t, "install.ipxe", script, b.Base, "http://10.77.0.1", token, "TOKEN",
		strings.TrimPrefix(kit.Kernel.Digest, "sha256:"), "KERNEL", strings.TrimPrefix(kit.RAMDisk.Digest, "sha256:"), "RAMDISK")
	for _, line := range strings.Split(script, "\n") {
		if at, ok := strings.CutPrefix(line, "initrd --name ramdisk "+b.Base); ok {
			b.get(strings.Fields(at)[0]).want(t, http.StatusOK)
		}
	}
	if again := b.script(node1); again != script {
		t.Errorf("looking at the script changes it to\n%s", again)
	}
	b.wantTrace(node1, "boots kernel "+kernelVersion+" of web to install it", `"install": "once"`)
	if b.state(node1).Stage != provision.StageKernel {
		t.Errorf("the stage is %s", b.state(node1).Stage)
	}
}

func TestLocalScript(t *testing.T) {
	b := newBed(t, nil)
	b.change(node1, func(s *provision.Spec) { s.InstallOnce = false })
	golden(t, "local.ipxe", b.script(node1))
	b.wantTrace(node1, "sent to its own disk")
}

func TestStrangerScript(t *testing.T) {
	b := newBed(t, nil)
	golden(t, "stranger.ipxe", b.script(stranger))
	b.wantTrace(stranger, "let go to its next boot device", "its disk is left alone")
	if got := b.state(stranger).Stage; got != provision.StageStranger {
		t.Errorf("the stage is %s", got)
	}
}

// TestWaitScript: the image is not packed by the time that the machine has to
// get an answer.
func TestWaitScript(t *testing.T) {
	b := newBed(t, nil)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	script, event := b.next(ctx, node1, dialect.IPXE{Base: b.Base})
	golden(t, "wait.ipxe", script, b.Base, "http://10.77.0.1")
	if event.Text != "told to ask again in a moment" || event.Stage != "" {
		t.Errorf("the event is %+v", event)
	}
	b.kit(node1)
	if script := b.script(node1); !strings.Contains(script, "cloudlets.token=") {
		t.Errorf("asked again once the image is packed, the machine gets\n%s", script)
	}
}

// TestNoKernelScript: nothing is armed away, nothing installed, and the person
// at the machine and the one at the trace are told why.
func TestNoKernelScript(t *testing.T) {
	b := newBed(t, func(image string) { must(t, os.RemoveAll(filepath.Join(image, "boot"))) })
	golden(t, "no-kernel.ipxe", b.script(node1))
	b.wantTrace(node1, "not installed: its image cannot be booted", "no kernel at /boot/vmlinuz-*")
	boot := b.Boot(t.Context(), bootClient(node1))
	if boot.File != "" || !strings.Contains(boot.Reason, "its image cannot be booted") {
		t.Errorf("DHCP answers %+v", boot)
	}
}

// TestHostileCommandLine: what a file says of the kernel's command line never
// becomes a command of iPXE's.
func TestHostileCommandLine(t *testing.T) {
	b := newBed(t, nil)
	for cmdline, refused := range map[string]bool{
		"a\nshell\n":            false, // one line, after all
		"${net0/ip} ${x:${y}}":  false,
		"quiet || shell":        true,
		"quiet && shell":        true,
		"console=ttyS0 #serial": true,
	} {
		b.change(node1, func(s *provision.Spec) { s.Cmdline = cmdline })
		script := b.script(node1)
		if install := strings.Contains(script, "cloudlets.token="); install == refused {
			t.Errorf("%q: refused is %t:\n%s", cmdline, !install, script)
		}
		for line := range strings.Lines(script) {
			if strings.HasPrefix(line, "shell") || strings.Contains(line, "${net0") || strings.Contains(line, "|| shell") {
				t.Errorf("%q reaches iPXE's shell: %s", cmdline, line)
			}
		}
	}
	b.wantTrace(node1, `iPXE would not pass the word "||" on`)
}

// TestLookingTakesNothing: a HEAD of the script must not take the machine's
// token away.
func TestLookingTakesNothing(t *testing.T) {
	b := newBed(t, nil)
	request := b.request(node1)
	b.do(http.MethodHead, "/boot/"+string(node1)+"/script", "", nil).want(t, http.StatusOK)
	b.claimAs(request)
}

// TestTemplateOfCommandLine: the command line of an entry point is rendered
// for the machine, in the script and on the installed disk.
func TestTemplateOfCommandLine(t *testing.T) {
	b := newBed(t, func(image string) {
		write(t, filepath.Join(image, ".cloudlet/manifest"), []byte(`{
			"args": {"motd": {"type": "string", "default": "hello"}},
			"templates": ["/etc/hostname"],
			"entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*", "cmdline": "name=<%= env.hostname %> motd=<%= args.motd %>"}}
		}`))
	})
	if script := b.script(node1); !strings.Contains(script, " name=web1 motd=hello console=ttyS0 ") {
		t.Errorf("the script is\n%s", script)
	}
	if got := b.claim(node1).Target.Entries[0].Cmdline; got != "name=web1 motd=hello console=ttyS0" {
		t.Errorf("the disk's kernel gets %q", got)
	}
	b.change(node1, func(s *provision.Spec) { s.Config.Args = map[string]any{"motd": 5} })
	if script := b.script(node1); strings.Contains(script, "cloudlets.token=") {
		t.Errorf("a machine whose configuration is wrong is installed:\n%s", script)
	}
	b.wantTrace(node1, "/args/motd")
}

// TestCommandLineThatFails: a machine whose command line cannot be rendered has failed,
// and one whose file has no address gets the one that DHCP leased.
func TestCommandLineThatFails(t *testing.T) {
	b := newBed(t, func(dir string) {
		writeText(dir, ".cloudlet/manifest", `{"entrypoints": {"disk": {"type": "kernel", "kernel": "/boot/vmlinuz-`+kernelVersion+`", "cmdline": "ip=<%= env.address.trim() %>"}}}`)
	})
	b.change(node1, func(s *provision.Spec) { s.Address = netip.Addr{} })
	b.kit(node1)
	if text := b.get("/boot/" + string(node1) + "/script").body; strings.Contains(text, "token=") {
		t.Errorf("it boots without an address: %s", text)
	}
	if state := b.state(node1); state.Stage != provision.StageFailed || !strings.Contains(state.Failure, "kernel command line") {
		t.Errorf("the state is %s: %q", state.Stage, state.Failure)
	}
	client := dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.IPXE}
	b.SawExchange(dhcp.Exchange{Client: client, Request: "REQUEST", Reply: "ACK", Addr: netip.MustParseAddr("127.0.0.1")})
	if text := b.get("/boot/" + string(node1) + "/script").body; !strings.Contains(text, "ip=127.0.0.1") {
		t.Errorf("with an address it gets %s", text)
	}
}
