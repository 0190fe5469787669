package bed_test

import (
	"regexp"
	"strings"
	"testing"

	"cloudlets/images/disk/disktest"
	"cloudlets/provision"
	"cloudlets/testdata/bed"
)

// TestRescue orders a rescue of a BIOS machine whose disk has a filesystem: there is a
// shell on its serial console, which reads what is on the disk, and the disk stays as it is.
func TestRescue(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, asServer)
	const mac = "52:54:00:00:00:43"
	r.describe(mac, object{"image": "small", "hostname": "node43", "rescue": object{"sshKeys": []string{sshKey}}})
	disk := r.newDiskOf("node43", 64<<20)
	disktest.Interrupted(t, disk.File, "never lost\n")
	before := digestOf(t, disk.File)
	r.run("boot", mac, "--once", "rescue", "--mount")
	if m := r.machine(mac); m.Next.Action != provision.ActionRescue || m.Once == nil {
		t.Fatalf("ordered, its next boot is %+v, by %+v", m.Next, m.Once)
	}

	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{disk}})
	r.expect(m, `rescue of node43, with small in memory`)
	r.expect(m, `(~|/root) # $`)
	if err := m.Console.Type("echo $(cat /mnt/vda/kept) on $(hostname); echo lost >/mnt/vda/kept; echo lost >/dev/vda; echo tried\n"); err != nil {
		t.Fatal(err)
	}
	r.expect(m, `\nnever lost on node43\n`)
	r.expect(m, `\ntried\n`)
	found := r.machine(mac)
	if found.Stage != provision.StageRescue || found.Once != nil || found.Quiet != nil || found.Next.Action != provision.ActionLocal {
		t.Errorf("it is in stage %s, quiet %v, next %s, ordered %+v", found.Stage, found.Quiet, found.Next.Action, found.Once)
	}
	trace := r.run("trace", mac)
	for _, want := range []string{"boot rescue, with its disks mounted to be read, once, ordered", "unpacks small into memory", "no SSH server, since small has no sshd"} {
		if !strings.Contains(trace, want) {
			t.Errorf("the trace does not say %q:\n%s", want, trace)
		}
	}
	m.Stop() // what the machine's kernel still has to write, if anything, is on the disk now
	if digestOf(t, disk.File) != before {
		t.Error("the disk has changed")
	}
}

// TestRescueWithTooLittleMemory: the machine says so before it fetches the image, on its
// console and in its trace.
func TestRescueWithTooLittleMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, asServer)
	const mac = "52:54:00:00:00:44"
	r.describe(mac, object{"image": "small", "hostname": "node44"})
	r.run("boot", mac, "--once", "rescue")
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Memory: 192})
	if _, err := m.Console.Expect(r.ctx, tooLittle); err != nil {
		t.Fatal(err)
	}
	if trace := r.run("trace", mac); !tooLittle.MatchString(trace) {
		t.Errorf("the trace does not say why:\n%s", trace)
	}
}

var tooLittle = regexp.MustCompile(`small takes [0-9.]+ MB of memory unpacked, and a rescue [0-9.]+ MB to work: this machine has [0-9.]+ MB left`)

// sshKey is a public key that nobody has.
const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g nobody"
