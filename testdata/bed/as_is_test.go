package bed_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

// TestMemoryTest hands memtest86+ to a BIOS machine, once, until that shows its title on
// the serial console.
func TestMemoryTest(t *testing.T) {
	alongside(t, 4)
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
	disk := r.newDiskOf("node42", 64<<20)
	before := digestOf(t, disk.File)
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{disk}, Memory: 64, Screen: true})
	r.expect(m, `Memtest86\+ *v[0-9]`)
	found := r.machine(mac)
	if found.Stage != provision.StageBooted || found.Once != nil || found.Next.Action != provision.ActionLocal {
		t.Errorf("it has the memory test, and is in stage %s, next %s, ordered %+v", found.Stage, found.Next.Action, found.Once)
	}
	if trace := r.run("trace", mac); !strings.Contains(trace, "boot kernel memtest, once, ordered") {
		t.Errorf("the trace does not say why:\n%s", trace)
	}
	if digestOf(t, disk.File) != before {
		t.Error("the disk has changed")
	}
}
