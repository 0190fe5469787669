//go:build long

package bed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongHTTPS installs a machine whose firmware trusts the site's authority, by
// UEFI HTTPS Boot. Its agent claims the plan and fetches the pack by HTTPS.
func TestLongHTTPS(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, asServer)
	if err := os.WriteFile(filepath.Join(r.daemon.Site, "cloudlets.json"), []byte(`{"https": true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.daemon.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	authorities := filepath.Join(r.dir, "ca.esl")
	r.run("ca", "--format", "esl", "--out", authorities)
	const mac = "52:54:00:00:0b:01"
	r.describe(mac, object{"image": "small", "hostname": "node11", "install": "once", "https": true, "config": object{"args": object{"role": "a web server"}}})
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.UEFIHTTP, Authorities: authorities, Disks: []bed.Disk{r.newDisk("node11")}})
	r.expect(m, `node11 login: `)
	r.installed(mac, 1)
	trace := r.run("trace", mac)
	for _, want := range []string{"https://10.77.0.1/loader/snponly.efi", "fetched boot loader snponly.efi by HTTPS", "claimed its plan by HTTPS", "fetched core.img by HTTPS"} {
		if !strings.Contains(trace, want) {
			t.Errorf("want %q in the trace:\n%s", want, trace)
		}
	}
}
