package bed_test

import (
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// ownDiskMAC is a machine whose firmware would start another disk first.
const ownDiskMAC = "52:54:00:00:0d:02"

// TestUEFIOwnDisk installs a machine that has two disks with a system. Sent to its disk, the
// machine starts the one that was installed, and not the first one of its boot order.
func TestUEFIOwnDisk(t *testing.T) {
	alongside(t, 35)
	installBesideAnother(t)
}

// installBesideAnother installs the machine. Its other disk comes before the one that is
// installed, and has a system that calls itself "other".
func installBesideAnother(t *testing.T) (*rig, bed.Spec) {
	t.Helper()
	r := newRig(t, map[string]string{"small": small}, asServer)
	r.describe(ownDiskMAC, object{"image": "small", "hostname": "node", "install": "once", "handover": "reboot", "disk": object{"serial": "NODE"}})
	other := bed.Disk{File: filepath.Join(r.dir, "other.raw"), Serial: "OTHER"}
	r.run("disk", small, "--env", "hostname=other", "--out", other.File)
	spec := bed.Spec{MAC: ownDiskMAC, Firmware: bed.UEFI, Disks: []bed.Disk{other, r.newDisk("node")}}
	m := r.on(spec)
	r.expect(m, `cloudlets: this machine starts its own disk`)
	r.expect(m, `node login: `)
	r.wentToDisk(ownDiskMAC, 1)
	if trace := r.run("trace", ownDiskMAC); !strings.Contains(trace, "own-disk/amd64.efi by TFTP") {
		t.Errorf("it did not get there by its own program:\n%s", trace)
	}
	m.Stop()
	return r, spec
}
