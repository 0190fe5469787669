//go:build long

package bed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/needs"
)

// TestLongDebianInstaller hands Debian's installer to a machine, by the recipe of
// docs/recipes.md. It fetches its preseed, rendered for the machine, and does what that
// says: a command that writes to the console, and asks the server for a file.
func TestLongDebianInstaller(t *testing.T) {
	t.Parallel()
	const folder = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/"
	needs.File(t, folder+"linux", "debian-installer-12-netboot-amd64")
	r := newRig(t, map[string]string{"small": small}, asServer)
	preseed := filepath.Join(r.dir, "preseed.cfg")
	early := "d-i preseed/early_command string echo <%= env.hostname %> does what args say: <%= args.word %> >/dev/console; wget -O- http://" + bed.ServerIP + "/asked-by-the-preseed 2>&1 | tail -n 1 >/dev/console\n"
	if err := os.WriteFile(preseed, []byte(early), 0o600); err != nil {
		t.Fatal(err)
	}
	r.image("debian-installer", object{
		"args":      object{"word": object{"type": "string"}},
		"templates": []string{"/preseed.cfg"},
		"entrypoints": object{"installer": object{"type": "kernel", "kernel": "/linux", "initrd": "/initrd.gz",
			"cmdline": "auto=true priority=critical interface=auto url=<%= env.files %>/preseed.cfg"}},
	}, map[string]string{"linux": folder + "linux", "initrd.gz": folder + "initrd.gz", "preseed.cfg": preseed})
	// Without a default route or a name server the installer asks a person.
	r.configure(object{"router": bed.ServerIP, "dns": []string{bed.ServerIP}})
	const mac = "52:54:00:00:00:45"
	r.describe(mac, object{
		"image": "small", "hostname": "node45", "cmdline": "console=ttyS0,115200 DEBIAN_FRONTEND=text",
		"boot": object{"kernel": "debian-installer", "config": object{"args": object{"word": "early"}}},
	})
	disk := r.newDiskOf("node45", 64<<20)
	before := digestOf(t, disk.File)
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{disk}})
	r.expect(m, `node45 does what args say: early`)
	r.expect(m, `404 Not Found`)
	if found := r.machine(mac); found.Stage != provision.StageBooted || found.Next.Action != provision.ActionKernel {
		t.Errorf("its installer runs, and it is in stage %s, next %s", found.Stage, found.Next.Action)
	}
	if trace := r.run("trace", mac); !strings.Contains(trace, "preseed.cfg of debian-installer, rendered") {
		t.Errorf("the trace does not say that it fetched its preseed:\n%s", trace)
	}
	m.Stop()
	if digestOf(t, disk.File) != before {
		t.Error("the disk has changed")
	}
}
