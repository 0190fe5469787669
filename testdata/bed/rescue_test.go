package bed_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/disk/disktest"
	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/needs"
)

// TestRescue orders a rescue with Debian of a BIOS machine whose disk has a filesystem: there
// is a shell on its serial console, which reads what is on the disk, and a real SSH client
// logs in with the site's key, but not with another one. The disk stays as it is.
func TestRescue(t *testing.T) {
	alongside(t, 43)
	r := newRig(t, map[string]string{"small": small, "debian-12": debian}, asServer)
	const mac, address = "52:54:00:00:00:43", "10.77.0.43"
	key, public := r.newSSHKey("site")
	stranger, _ := r.newSSHKey("stranger")
	r.configure(object{"rescue": object{"sshKeys": []string{public}}})
	r.describe(mac, object{"image": "small", "hostname": "node43", "address": address, "rescue": object{"sshKeys": []string{sshKey}}})
	disk := r.newDiskOf("node43", 64<<20)
	disktest.Interrupted(t, disk.File, "never lost\n")
	before := digestOf(t, disk.File)
	r.run("boot", mac, "debian-12", "--once", "rescue", "--mount")
	if m := r.machine(mac); m.Next.Action != provision.ActionRescue || m.Once == nil {
		t.Fatalf("ordered, its next boot is %+v, by %+v", m.Next, m.Once)
	}

	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{disk}, Memory: 1536})
	r.expect(m, `rescue of node43, with debian-12 in memory`)
	r.expect(m, `# $`)
	if err := m.Console.Type("echo $(cat /mnt/vda/kept) on $(hostname); echo lost >/mnt/vda/kept; echo lost >/dev/vda; echo tried\n"); err != nil {
		t.Fatal(err)
	}
	r.expect(m, pasted+`never lost on node43\r?\n`)
	r.expect(m, `\ntried\r?\n`)
	found := r.machine(mac)
	if found.Stage != provision.StageRescue || found.Once != nil || found.Quiet != nil || found.Next.Action != provision.ActionLocal {
		t.Errorf("it is in stage %s, quiet %v, next %s, ordered %+v", found.Stage, found.Quiet, found.Next.Action, found.Once)
	}

	out, hostKey, err := r.ssh(key, address, "cat /mnt/vda/kept && hostname && id -un; echo lost >/dev/vda || echo refused")
	if err != nil || out != "never lost\nnode43\nroot\nrefused\n" {
		t.Errorf("by SSH it says %q, %v", out, err)
	}
	if out, _, err := r.ssh(stranger, address, "hostname"); err == nil || !strings.Contains(err.Error(), "Permission denied (publickey)") {
		t.Errorf("another key logs in by SSH: %q, %v", out, err)
	}
	trace := r.run("trace", mac)
	for _, want := range []string{"boot rescue debian-12, with its disks mounted to be read, once, ordered", "unpacks debian-12 into memory", "root may log in by SSH; the host's key, made for this boot, is " + hostKey} {
		if !strings.Contains(trace, want) {
			t.Errorf("the trace does not say %q:\n%s", want, trace)
		}
	}
	m.Stop() // what the machine's kernel still has to write, if anything, is on the disk now
	if digestOf(t, disk.File) != before {
		t.Error("the disk has changed")
	}
}

// pasted is what bash writes before a command's output: the end of its mode for pasting.
const pasted = `(\n|\x1b\[\?2004l\r?)`

// newSSHKey makes a key: the file with its private half, and the public one as a line.
func (r *rig) newSSHKey(name string) (file, public string) {
	r.Helper()
	file = filepath.Join(r.dir, name+".key")
	maker := needs.Tool(r, "ssh-keygen", "openssh-client")
	if out, err := exec.CommandContext(r.ctx, maker, "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file).CombinedOutput(); err != nil {
		r.Fatalf("make a key: %v: %s", err, out)
	}
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		r.Fatal(err)
	}
	return file, strings.TrimSpace(string(text))
}

// ssh runs a command on a machine as root, by a key alone. It returns the fingerprint of the
// machine's own key, too.
func (r *rig) ssh(key, address, command string) (out, hostKey string, err error) {
	r.Helper()
	known := key + ".known"
	cmd := r.network.Command(r.ctx, needs.Tool(r, "ssh", "openssh-client"), "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile="+known, "root@"+address, command)
	var words bytes.Buffer
	cmd.Stderr = &words
	text, err := cmd.Output()
	if err != nil {
		return string(text), "", fmt.Errorf("%w: %s", err, words.String())
	}
	shown, err := exec.CommandContext(r.ctx, needs.Tool(r, "ssh-keygen", "openssh-client"), "-lf", known).Output()
	if err != nil {
		return string(text), "", fmt.Errorf("read the machine's key: %w", err)
	}
	fields := strings.Fields(string(shown)) // bits, fingerprint, host, type
	if len(fields) < 2 {
		return string(text), "", fmt.Errorf("ssh-keygen says %q of the machine's key", shown)
	}
	return string(text), fields[1], nil
}

// sshKey is a public key that nobody has.
const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g nobody"
