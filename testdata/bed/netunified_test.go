//go:build long

package bed_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// withOwnKey are a daemon's settings that give it the owner's key.
func (r *rig) withOwnKey() object {
	r.Helper()
	return object{"secureBootKey": plainKey(r.ctx, r.TB), "secureBootCert": ownerCert}
}

// ownedFile is the file of a machine whose firmware starts what its owner signed.
func ownedFile(hostname string) object {
	file := signedFile(hostname)
	file["secureBoot"] = "owner"
	file["cmdline"] = "word.of=" + hostname
	return file
}

// TestLongSecureBootOwnKeyServer installs a machine whose firmware knows the owner's key
// alone: by UEFI HTTP Boot, which fetches one signed program. It restarts by itself,
// is let go by the network, and starts its disk by the same key with its own words.
func TestLongSecureBootOwnKeyServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, asServer)
	r.configure(r.withOwnKey())
	const mac = "52:54:00:00:06:05"
	r.describe(mac, ownedFile("node65"))
	m := r.on(bed.Spec{
		MAC: mac, Firmware: bed.UEFIHTTP, SecureBoot: true, Vars: ownerVars, Disks: []bed.Disk{r.newDisk("node65")},
		Unplugged: []string{"52:54:00:00:16:05"},
	})
	r.expect(m, `Command line: .*cloudlets\.ask=http://`)
	r.expect(m, lockedDown)
	r.expect(m, `network: .* has 10\.77\.0\.`)
	r.expect(m, `Command line: .*word\.of=node65`)
	r.expect(m, lockedDown)
	r.expect(m, `node65: a signed machine \(Linux`)
	r.expect(m, `node65 login: `)
	r.wentToDisk(mac, 1)
	trace := r.run("trace", mac)
	for _, want := range []string{"fetched cloudlet.efi by HTTP", "its firmware gets a program that starts that disk", "sent to its own disk"} {
		if !strings.Contains(trace, want) {
			t.Errorf("want %q in the trace:\n%s", want, trace)
		}
	}
}

// changeSignedProgram changes one bit of the kernel in the program that the daemon
// has signed.
func (r *rig) changeSignedProgram() {
	r.Helper()
	files, err := filepath.Glob(filepath.Join(r.daemon.Dir, "state", "depot", "files", "*"))
	if err != nil {
		r.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			r.Fatal(err)
		}
		if bytes.HasPrefix(b, []byte("MZ")) && bytes.Contains(b, []byte("cloudlets.ask=http://")) {
			b[len(b)/2] ^= 1
			if err := os.WriteFile(file, b, 0o600); err != nil {
				r.Fatal(err)
			}
			return
		}
	}
	r.Fatalf("the daemon has signed none of its files: %s", files)
}
