package bed_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"cloudlets/testdata/bed"
)

// TestDisk makes a disk without any server, and boots it with either firmware
// to its login prompt.
func TestDisk(t *testing.T) {
	for _, c := range []struct {
		name, mac string
		firmware  bed.Firmware
		file      string
		format    string // as QEMU calls it
	}{
		{"BIOS", "52:54:00:00:01:01", bed.BIOS, "disk.raw", "raw"},
		{"UEFI", "52:54:00:00:01:02", bed.UEFI, "disk.qcow2", "qcow2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithTimeout(t.Context(), patience)
			t.Cleanup(stop)
			file := filepath.Join(t.TempDir(), c.file)
			made, err := exec.CommandContext(ctx, binary, "disk", debian, "--out", file, "--free", "200MB",
				"--config", `{"args": {"role": "a disk of its own"}}`, "--env", "hostname=stick", "--env", "mac="+c.mac).CombinedOutput()
			if err != nil {
				t.Fatalf("make a disk: %v: %s", err, made)
			}
			m := bootAlone(ctx, t, bed.Spec{MAC: c.mac, Firmware: c.firmware, LocalOnly: true, Disks: []bed.Disk{{File: file, Format: c.format}}})
			expect(ctx, t, m, `stick: a disk of its own \(Linux`)
			expect(ctx, t, m, `stick login: `)
		})
	}
}

// bootAlone switches on a machine in a network of its own, without a server.
func bootAlone(ctx context.Context, t *testing.T, spec bed.Spec) *bed.Machine {
	t.Helper()
	network, err := bed.NewNetwork(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	m, err := bed.Start(ctx, network, t.TempDir(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Stop()
		if t.Failed() {
			t.Logf("console:\n%s", m.Console.Tail())
		}
	})
	return m
}
