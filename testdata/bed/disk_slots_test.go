package bed_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cloudlets/testdata/bed"
)

// TestUpdatedDisk boots a disk with two slots that no server ever saw, and that was made
// larger since: its persistent partition takes the room. Then it updates the disk from
// outside, and boots it again: the new system proves itself, and has the data.
func TestUpdatedDisk(t *testing.T) {
	alongside(t, 26)
	updatedDisk(t, bed.BIOS)
}

func updatedDisk(t *testing.T, firmware bed.Firmware) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*smallPatience)
	t.Cleanup(stop)
	file := filepath.Join(t.TempDir(), "disk.img")
	const settle = "cloudlets.trial.settle=2"
	makeSmall(ctx, t, small, file, "--slots", "2", "--persistent-partition", "96MiB", "--grow", "--cmdline", settle)
	made, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	size := made.Size() + 200<<20
	if err := os.Truncate(file, size); err != nil {
		t.Fatal(err)
	}
	spec := bed.Spec{MAC: "52:54:00:00:08:11", Firmware: firmware, LocalOnly: true, Disks: []bed.Disk{{File: file}}}
	m := bootAlone(ctx, t, spec)
	expect(ctx, t, m, `cloudlets: partition [0-9] \(persistent\) grows to `)
	expect(ctx, t, m, `cloudlets: the filesystem on /.cloudlet/persistent grew from `)
	expectSmall(ctx, t, m)
	logIn(ctx, t, m)
	ask(ctx, t, m, "echo kept >>notes; sync; grep -c cloudlets.trial$ /proc/cmdline", `\n0\r?\n`)
	switchOff(ctx, t, m)
	wantSoundDisk(t, file, size, "persistent")

	args := []string{"disk", small, "--out", file, "--update", "--config", `{"args": {"role": "an updated one"}}`, "--env", "hostname=stick", "--cmdline", settle}
	if out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput(); err != nil {
		t.Fatalf("update: %v: %s", err, out)
	}
	m = bootAlone(ctx, t, spec)
	expect(ctx, t, m, `stick: an updated one \(Linux`)
	expect(ctx, t, m, `stick login: `)
	expect(ctx, t, m, `cloudlets: this system is accepted`)
	logIn(ctx, t, m)
	ask(ctx, t, m, "cat notes", `what the image has\r?\nkept`)
	switchOff(ctx, t, m)
}

// switchOff switches a machine off at its shell.
func switchOff(ctx context.Context, t *testing.T, m *bed.Machine) {
	t.Helper()
	if err := m.Console.Type("poweroff\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Done():
	case <-ctx.Done():
		t.Fatalf("the machine did not go off; its console ends:\n%s", m.Console.Tail())
	}
}
