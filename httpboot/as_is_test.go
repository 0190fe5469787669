package httpboot

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/provision"
)

// addMemtest makes an image that can only be booted as it is.
func (b *bed) addMemtest() {
	b.t.Helper()
	for name, content := range map[string]string{
		".cloudlet/manifest": `{
			"args": {"word": {"type": "string", "default": "hello"}},
			"templates": ["/answers.cfg"],
			"entrypoints": {
				"plain": {"type": "kernel", "kernel": "/mt.bin", "cmdline": "console=ttyS0", "default": true},
				"ram": {"type": "kernel", "kernel": "/mt.bin", "initrd": "/initrd", "cmdline": "url=<%= env.files %>/answers.cfg for=<%= env.target %>"}
			}
		}`,
		"mt.bin": kernel(0x20c, 1), "initrd": "the initrd", "secret": "not a template",
		"answers.cfg": "<%= args.word %> <%= env.hostname %> <%= env.mac %>\n",
	} {
		write(b.t, filepath.Join(b.site.images, "memtest", name), []byte(content))
	}
}

func (b *bed) orderBoot(boot provision.Boot) {
	b.t.Helper()
	spec, _ := b.site.Spec(node1)
	must(b.t, b.Tracker.OrderBoot(b.t.Context(), node1, &spec, boot, "ann"))
}

var memtest = provision.Boot{Kind: provision.BootKernel, Image: "memtest"}

// TestBootAsIsOnce: an order goes before the first install, is carried out once, and the
// files of the boot are there until the next.
func TestBootAsIsOnce(t *testing.T) {
	b := newBed(t, nil)
	b.addMemtest()
	boot := memtest
	boot.EntryPoint = "ram"
	b.orderBoot(boot)
	script := b.script(node1)
	state := b.state(node1)
	if state.Once != nil || state.Booted == nil || state.Stage != provision.StageBooted {
		t.Fatalf("after the script: once %+v, booted %+v, stage %s", state.Once, state.Booted, state.Stage)
	}
	token := state.Booted.FilesToken(node1, b.Tracker.Key())
	kit, err := b.Depot.Kit(t.Context(), asIsKey(&boot))
	must(t, err)
	golden(t, "as-is.ipxe", script, b.Base, "http://10.77.0.1", token, "TOKEN",
		strings.TrimPrefix(kit.Kernel.Digest, "sha256:"), "KERNEL", strings.TrimPrefix(kit.RAMDisk.Digest, "sha256:"), "RAMDISK")
	b.wantTrace(node1, "boots /mt.bin of memtest as it is", "boot kernel memtest (ram), once, ordered by ann")

	files := asIsFiles(string(node1), token)
	b.get(files+"/answers.cfg").want(t, http.StatusOK, "hello web1 52:54:00:00:00:01\n")
	b.get(files+"/secret").want(t, http.StatusNotFound, "not among the templates")
	b.get(files+"/../secret").want(t, http.StatusGone)
	b.get(files+"/").want(t, http.StatusNotFound)
	b.get(asIsFiles(string(node1), strings.Repeat("0", 32))+"/answers.cfg").want(t, http.StatusGone)
	b.get(asIsFiles(string(node2), token)+"/answers.cfg").want(t, http.StatusGone)

	if next := b.script(node1); !strings.Contains(next, "cloudlets.token=") {
		t.Errorf("after the order the machine gets\n%s", next)
	}
	b.get(files+"/answers.cfg").want(t, http.StatusGone)
}

// TestBootAsIsByFile: each time, with the configuration that the file has for the image,
// and without an initrd if the image names none.
func TestBootAsIsByFile(t *testing.T) {
	b := newBed(t, nil)
	b.addMemtest()
	b.change(node1, func(s *provision.Spec) { s.Image, s.Boot = "", &provision.FileBoot{Boot: memtest} })
	for range 2 {
		if script := b.script(node1); !strings.Contains(script, "vmlinuz console=ttyS0") || strings.Contains(script, "initrd") {
			t.Errorf("the script is\n%s", script)
		}
	}
	config := dialect.GRUB{TFTP: b.TFTP}
	text, event := b.next(t.Context(), node1, config)
	if !strings.Contains(text, "if linux (tftp,127.0.0.1)/") || strings.Contains(text, "initrd") || event.Booted != nil || !strings.HasPrefix(event.Text, "asked again: ") {
		t.Errorf("GRUB is told\n%s", text)
	}
	if text, _ := b.next(t.Context(), node1, dialect.UBoot{}); !strings.Contains(text, "\nkernel ") || strings.Contains(text, "initrd") {
		t.Errorf("U-Boot is told\n%s", text)
	}
	for _, d := range []dialect.Dialect{dialect.Agent{}, dialect.Pi{}} {
		if _, err := d.Boot(dialect.Program{AsIs: true}); !errors.Is(err, dialect.ErrAgentAsIs) && !errors.Is(err, dialect.ErrPiAsIs) {
			t.Errorf("%T boots a kernel as it is: %v", d, err)
		}
	}
	if boot := b.Boot(t.Context(), bootClient(node1)); boot.File == "" {
		t.Errorf("DHCP answers %+v", boot)
	}
}

// TestBootLocalOnce: a BIOS machine is not left in silence, since its script uses up the
// order.
func TestBootLocalOnce(t *testing.T) {
	b := newBed(t, nil)
	b.orderBoot(provision.Boot{Kind: provision.BootLocal})
	client := bootClient(node1)
	client.Firmware = dhcp.BIOS
	if boot := b.Boot(t.Context(), client); boot.File == "" {
		t.Errorf("DHCP answers %+v", boot)
	}
	if script := b.script(node1); !strings.Contains(script, "sanboot") {
		t.Errorf("the script is\n%s", script)
	}
	if b.state(node1).Once != nil {
		t.Error("the order is still there")
	}
	if script := b.script(node1); !strings.Contains(script, "cloudlets.token=") {
		t.Errorf("the next script is\n%s", script)
	}
}

// TestLookUsesUpNothing: somebody else who reads a machine's script.
func TestLookUsesUpNothing(t *testing.T) {
	b := newBed(t, nil)
	b.addMemtest()
	b.orderBoot(memtest)
	b.do(http.MethodHead, "/boot/"+string(node1)+"/script", "", nil).want(t, http.StatusOK)
	_, _ = b.next(t.Context(), node1, dialect.IPXE{Base: b.Base})
	if b.state(node1).Once == nil {
		t.Error("a look used up the order")
	}
}
