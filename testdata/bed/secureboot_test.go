//go:build long

package bed_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cloudlets/testdata/bed"
)

// The owner's key of the tests: Debian's ovmf has variables of a machine that
// was given its certificate, and the key for tests of just this kind.
const (
	ownerVars = "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd"
	ownerKey  = "/usr/share/ovmf/PkKek-1-snakeoil.key"
	ownerCert = "/usr/share/ovmf/PkKek-1-snakeoil.pem"
)

// signer is whose signatures a machine's firmware insists on.
type signer struct {
	name, mac, vars string
	flags           func(ctx context.Context, t *testing.T) []string
	refused         string // what is said of a changed kernel
}

var (
	byShim = signer{"Shim", "52:54:00:00:05:01", "", func(context.Context, *testing.T) []string { return []string{"--secure-boot"} },
		`bad shim signature|Verification failed|Security Violation`}
	byOwnKey = signer{"OwnKey", "52:54:00:00:05:03", ownerVars, func(ctx context.Context, t *testing.T) []string {
		return []string{"--secure-boot-key", plainKey(ctx, t), "--secure-boot-cert", ownerCert}
	}, `Error loading .*Access [Dd]enied|Security [Vv]iolation`}
)

// TestLongSecureBoot boots disks on machines whose firmware insists on signatures, of
// Microsoft's or of the owner's: as they were made to the login prompt, and not at all
// with one bit of the kernel changed.
func TestLongSecureBoot(t *testing.T) {
	t.Parallel()
	for _, c := range []signer{byShim, byOwnKey} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithTimeout(t.Context(), patience)
			t.Cleanup(stop)
			file := filepath.Join(t.TempDir(), "disk.raw")
			args := append([]string{"disk", debian, "--out", file, "--config", `{"args": {"role": "a signed disk"}}`,
				"--env", "hostname=stick", "--env", "mac=" + c.mac}, c.flags(ctx, t)...)
			if made, err := exec.CommandContext(ctx, binary, args...).CombinedOutput(); err != nil {
				t.Fatalf("make a disk: %v: %s", err, made)
			}
			spec := bed.Spec{MAC: c.mac, Firmware: bed.UEFI, SecureBoot: true, Vars: c.vars, LocalOnly: true, Disks: []bed.Disk{{File: file}}}
			t.Run("AsMade", func(t *testing.T) {
				m := bootAlone(ctx, t, spec)
				expect(ctx, t, m, lockedDown)
				expect(ctx, t, m, `stick login: `)
				m.Stop()
			})
			t.Run("Changed", func(t *testing.T) {
				changeKernels(t, file, 2) // on the ESP, and in the root filesystem
				m := bootAlone(ctx, t, spec)
				expect(ctx, t, m, c.refused)
			})
		})
	}
}

// plainKey is the owner's key without its passphrase.
func plainKey(ctx context.Context, t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "owner.key")
	out, err := exec.CommandContext(ctx, "openssl", "rsa", "-in", ownerKey, "-passin", "pass:snakeoil", "-out", file).CombinedOutput()
	if err != nil {
		t.Fatalf("take the passphrase from %s: %v: %s (Debian packages openssl and ovmf)", ownerKey, err, out)
	}
	return file
}

// changeKernels changes one bit in each copy of the kernel in a file: in the
// name of who built it, which nothing but a signature cares about. There must be
// least copies or more.
func changeKernels(t *testing.T, file string, least int) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	marker := []byte(" (debian-kernel@")
	changed := 0
	for at := 0; ; changed++ {
		next := bytes.Index(b[at:], marker)
		if next < 0 {
			break
		}
		at += next + 1
		b[at] ^= 1
	}
	if changed < least {
		t.Fatalf("%d kernels are in %s, want %d or more", changed, file, least)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
