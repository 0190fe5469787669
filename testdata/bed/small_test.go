package bed_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/testdata/bed"
)

// smallWords is what the small cloudlet's login screen says of the machine
// that the tests make.
const smallWords = `stick: a disk of its own \(Linux`

// smallPatience bounds a boot of the small cloudlet, which takes half a minute.
const smallPatience = 6 * time.Minute

// makeSmall makes something of a small cloudlet.
func makeSmall(ctx context.Context, t *testing.T, image, out string, flags ...string) {
	t.Helper()
	args := append([]string{"disk", image, "--out", out, "--config", `{"args": {"role": "a disk of its own"}}`, "--env", "hostname=stick"}, flags...)
	if made, err := exec.CommandContext(ctx, binary, args...).CombinedOutput(); err != nil {
		t.Fatalf("make %s: %v: %s", filepath.Base(out), err, made)
	}
}

// expectSmall waits for the login screen.
func expectSmall(ctx context.Context, t *testing.T, m *bed.Machine) {
	t.Helper()
	expect(ctx, t, m, smallWords)
	expect(ctx, t, m, `stick login: `)
}

// logIn logs in as root, who needs no password.
func logIn(ctx context.Context, t *testing.T, m *bed.Machine) {
	t.Helper()
	if err := m.Console.Type("root\n"); err != nil {
		t.Fatal(err)
	}
	expect(ctx, t, m, `/root # `)
}

// powerOff logs in and switches the machine off.
func powerOff(ctx context.Context, t *testing.T, m *bed.Machine) {
	t.Helper()
	logIn(ctx, t, m)
	if err := m.Console.Type("poweroff\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Done():
	case <-ctx.Done():
		t.Fatalf("the machine did not go off; its console ends:\n%s", m.Console.Tail())
	}
}
