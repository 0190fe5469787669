package bed_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"cloudlets/testdata/bed"
)

// TestDisk makes a disk of Debian without any server, and boots it to its
// login prompt.
func TestDisk(t *testing.T) {
	t.Parallel()
	bootDebianDisk(t, bed.UEFI, "qcow2")
}

// bootDebianDisk makes a disk in a format that QEMU and we call the same.
func bootDebianDisk(t *testing.T, firmware bed.Firmware, format string) {
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	const mac = "52:54:00:00:01:01"
	file := filepath.Join(t.TempDir(), "disk."+format)
	made, err := exec.CommandContext(ctx, binary, "disk", debian, "--out", file, "--free", "200MB",
		"--config", `{"args": {"role": "a disk of its own"}}`, "--env", "hostname=stick", "--env", "mac="+mac).CombinedOutput()
	if err != nil {
		t.Fatalf("make a disk: %v: %s", err, made)
	}
	m := bootAlone(ctx, t, bed.Spec{MAC: mac, Firmware: firmware, LocalOnly: true, Disks: []bed.Disk{{File: file, Format: format}}})
	expect(ctx, t, m, `stick: a disk of its own \(Linux`)
	expect(ctx, t, m, `stick login: `)
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
