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

// The preseed of docs/recipes.md, and a script that it names. Without a locale the
// installer asks a person.
const (
	preseed = `d-i debian-installer/locale string en_US.UTF-8
d-i keyboard-configuration/xkb-keymap select us
d-i mirror/country string manual
d-i mirror/http/hostname string <%= args.mirror %>
d-i mirror/http/directory string /debian
d-i mirror/http/proxy string
d-i preseed/early_command string wget -qO /tmp/early.sh <%= env.files %>/early.sh && sh /tmp/early.sh
`
	early = `echo "$(hostname) is told as <%= env.hostname %> that its mirror is <%= args.mirror %>" >/dev/console
`
)

// TestLongDebianInstaller hands Debian's installer to a machine, by the recipe of
// docs/recipes.md. It fetches its preseed and a script, both rendered for the machine, runs
// the script, and goes on by the preseed until it finds no packages: the mirror that it is
// told has none.
func TestLongDebianInstaller(t *testing.T) {
	t.Parallel()
	const folder = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/"
	needs.File(t, folder+"linux", "debian-installer-12-netboot-amd64")
	r := newRig(t, map[string]string{"small": small}, asServer)
	files := map[string]string{"linux": folder + "linux", "initrd.gz": folder + "initrd.gz"}
	for name, text := range map[string]string{"preseed.cfg": preseed, "early.sh": early} {
		files[name] = filepath.Join(r.dir, name)
		if err := os.WriteFile(files[name], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.image("debian-installer", object{
		"args":      object{"mirror": object{"type": "string"}},
		"templates": []string{"/preseed.cfg", "/early.sh"},
		"entrypoints": object{"installer": object{"type": "kernel", "kernel": "/linux", "initrd": "/initrd.gz",
			"cmdline": "auto=true priority=critical interface=auto url=<%= env.files %>/preseed.cfg"}},
	}, files)
	// Without a default route or a name server the installer asks a person.
	r.configure(object{"router": bed.ServerIP, "dns": []string{bed.ServerIP}})
	const mac = "52:54:00:00:00:45"
	// On a busy host an emulated timer may be late, which the kernel takes for a broken board.
	r.describe(mac, object{
		"image": "small", "hostname": "node45", "cmdline": "console=ttyS0,115200 DEBIAN_FRONTEND=text no_timer_check",
		"boot": object{"kernel": "debian-installer", "config": object{"args": object{"mirror": bed.ServerIP}}},
	})
	disk := r.newDiskOf("node45", 64<<20)
	before := digestOf(t, disk.File)
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{disk}})
	r.expect(m, `node45 is told as node45 that its mirror is 10\.77\.0\.1`)
	r.expect(m, `Bad archive mirror`)
	if found := r.machine(mac); found.Stage != provision.StageBooted || found.Next.Action != provision.ActionKernel {
		t.Errorf("its installer runs, and it is in stage %s, next %s", found.Stage, found.Next.Action)
	}
	trace := r.run("trace", mac)
	for _, name := range []string{"preseed.cfg", "early.sh"} {
		if !strings.Contains(trace, name+" of debian-installer, rendered") {
			t.Errorf("the trace does not say that it fetched %s:\n%s", name, trace)
		}
	}
	m.Stop()
	if digestOf(t, disk.File) != before {
		t.Error("the disk has changed")
	}
}
