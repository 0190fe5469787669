package bed_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/disk/disktest"
	"cloudlets/provision"
	"cloudlets/testdata/bed"
)

// TestStrangerIsInspected switches on a machine that no file describes. It is inspected, and its disk
// stays as it is; it waits, is approved, and installs without being touched. Its addresses
// come from dnsmasq, beside which the server is a proxy.
func TestStrangerIsInspected(t *testing.T) {
	alongside(t, 35)
	r := newRig(t, map[string]string{"small": small}, asProxy)
	r.dnsmasq()
	r.configure(object{"strangers": object{"image": "small"}})
	const mac = "52:54:00:00:00:41"
	disk := r.newDisk("node41")
	before := digestOf(t, disk.File)

	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{disk}})
	r.expect(m, "inspected: it waits for `cloudlets approve`")
	if digestOf(t, disk.File) != before {
		t.Error("the inspection has changed the disk")
	}
	found := r.machine(mac)
	if found.Stage != provision.StageInspect || found.Next.Action != provision.ActionInspect || found.Inspection == nil {
		t.Fatalf("the stranger is in stage %s, next %s, inspection %+v", found.Stage, found.Next.Action, found.Inspection)
	}
	if i := found.Inspection; len(i.Disks) != 1 || i.Disks[0].Serial != "NODE41" || i.Firmware.Kind != "bios" || len(i.PCI) == 0 || i.Memory == 0 {
		t.Errorf("the inspection found %+v", i)
	}
	if shown := r.run("machines", mac); !strings.Contains(shown, "serial NODE41") || !strings.Contains(shown, ": empty") {
		t.Errorf("the stranger is shown as\n%s", shown)
	}
	if plan := r.run("approve", mac, "--image", "small", "--name", "node41", "--install", "--dry-run"); !strings.Contains(plan, `"hostname": "node41"`) {
		t.Errorf("the approval would write\n%s", plan)
	}
	r.run("approve", mac, "--image", "small", "--name", "node41", "--install")
	if _, err := os.Stat(filepath.Join(r.daemon.Site, provision.MAC(mac).File())); err != nil {
		t.Error(err)
	}
	r.expect(m, `node41 login: `)
	r.installed(mac, 1)
}

// digestOf sums up the content of a disk. Blocks of zeros are left out: most of a disk is a
// hole, which takes seconds to read.
func digestOf(t testing.TB, name string) (sum [sha256.Size]byte) {
	t.Helper()
	const block = 4 << 10
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := disktest.Data(f)
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	b, zeros := make([]byte, block), make([]byte, block)
	for _, part := range data {
		for at := part.Offset &^ (block - 1); at < part.Offset+part.Length; at += block {
			n, err := f.ReadAt(b, at)
			if err != nil && err != io.EOF {
				t.Fatal(err)
			}
			if !bytes.Equal(b[:n], zeros[:n]) {
				fmt.Fprintf(h, "%d %d ", at, n)
				h.Write(b[:n])
			}
		}
	}
	return [sha256.Size]byte(h.Sum(nil))
}
