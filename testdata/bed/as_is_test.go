package bed_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/needs"
)

// image writes a small cloudlet into the site: a manifest, and files by their sources.
func (r *rig) image(name string, manifest object, files map[string]string) {
	r.Helper()
	dir := filepath.Join(r.daemon.Site, "images", name)
	text, err := json.Marshal(manifest)
	if err != nil {
		r.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, ".cloudlet"), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".cloudlet", "manifest"), text, 0o644); err != nil {
		r.Fatal(err)
	}
	for to, from := range files {
		if err := copyFile(from, filepath.Join(dir, to)); err != nil {
			r.Fatal(err)
		}
	}
}

// TestMemoryTest has a BIOS machine boot memtest86+ once, and then its own disk.
func TestMemoryTest(t *testing.T) {
	t.Parallel()
	const program = "/boot/memtest86+x64.bin"
	needs.File(t, program, "memtest86+")
	r := newRig(t, map[string]string{"small": small}, asServer)
	r.image("memtest", object{"entrypoints": object{"bios": object{"type": "kernel", "kernel": "/memtest.bin", "cmdline": "console=ttyS0,115200"}}},
		map[string]string{"memtest.bin": program})
	const mac = "52:54:00:00:00:42"
	r.describe(mac, object{"image": "small", "hostname": "node42"})
	r.run("boot", mac, "--once", "kernel", "memtest")
	if m := r.machine(mac); m.Next.Action != provision.ActionKernel || m.Once == nil {
		t.Fatalf("ordered, its next boot is %+v, by %+v", m.Next, m.Once)
	}
	disk := r.newDisk("node42")
	before := digestOf(t, disk.File)
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{disk}})
	r.expect(m, `Memtest86\+`)
	found := r.machine(mac)
	if found.Stage != provision.StageBooted || found.Once != nil || found.Next.Action != provision.ActionLocal {
		t.Errorf("it runs the memory test, and is in stage %s, next %s, ordered %+v", found.Stage, found.Next.Action, found.Once)
	}
	if trace := r.run("trace", mac); !strings.Contains(trace, "boot kernel memtest, once, ordered") {
		t.Errorf("the trace does not say why:\n%s", trace)
	}
	if digestOf(t, disk.File) != before {
		t.Error("the disk has changed")
	}
}

// TestDebianInstaller has a BIOS machine boot Debian's installer once. It fetches the
// preseed that was rendered for the machine.
func TestDebianInstaller(t *testing.T) {
	t.Parallel()
	const dir = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/"
	needs.File(t, dir+"linux", "debian-installer-12-netboot-amd64")
	r := newRig(t, map[string]string{"small": small}, asServer)
	preseed := filepath.Join(r.dir, "preseed.cfg")
	if err := os.WriteFile(preseed, []byte("d-i netcfg/get_hostname string <%= env.hostname %>\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.image("installer", object{
		"templates": []string{"/preseed.cfg"},
		"entrypoints": object{"installer": object{
			"type": "kernel", "kernel": "/linux", "initrd": "/initrd.gz",
			"cmdline": "auto=true priority=critical interface=auto DEBIAN_FRONTEND=text console=ttyS0 url=<%= env.files %>/preseed.cfg",
		}},
	}, map[string]string{"linux": dir + "linux", "initrd.gz": dir + "initrd.gz", "preseed.cfg": preseed})
	const mac = "52:54:00:00:00:43"
	r.describe(mac, object{"hostname": "node43"})
	r.run("boot", mac, "--once", "kernel", "installer")
	r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{r.newDisk("node43")}})
	r.traces(mac, "/preseed.cfg of installer, rendered")
}

// traces waits until the trace of a machine has some words.
func (r *rig) traces(mac, words string) {
	r.Helper()
	for !strings.Contains(r.run("trace", mac), words) {
		select {
		case <-r.ctx.Done():
			r.Fatalf("the trace of %s does not have %q:\n%s", mac, words, r.run("trace", mac))
		case <-time.After(time.Second):
		}
	}
}
