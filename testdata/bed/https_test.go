//go:build long

package bed_test

import (
	"regexp"
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongHTTPS installs a machine whose firmware trusts the site's authority, by
// UEFI HTTPS Boot. Its agent claims the plan and fetches the pack by HTTPS.
func TestLongHTTPS(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, asServer)
	r.configure(object{"https": true})
	const mac = "52:54:00:00:0b:01"
	r.describe(mac, object{"image": "small", "hostname": "node11", "install": "once", "https": true, "config": object{"args": object{"role": "a web server"}}})
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.UEFIHTTP, Authorities: r.authorities(), Disks: []bed.Disk{r.newDisk("node11")}})
	r.expect(m, `node11 login: `)
	r.installed(mac, 1)
	trace := r.run("trace", mac)
	for _, want := range []string{"https://10.77.0.1/loader/snponly.efi", "fetched boot loader snponly.efi by HTTPS", "claimed its plan by HTTPS", "fetched core.img by HTTPS"} {
		if !strings.Contains(trace, want) {
			t.Errorf("want %q in the trace:\n%s", want, trace)
		}
	}
}

// plainHTTP is what the trace of a machine says that used HTTP without TLS.
var plainHTTP = regexp.MustCompile(`by HTTP\b|http://`)

// TestLongHTTPSOwnKey installs a machine whose firmware starts only what its owner
// signed, and fetches it by HTTPS. Agent, plan and image go by HTTPS too, and so does
// the program by which the firmware starts the disk.
func TestLongHTTPSOwnKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, asServer)
	settings := r.withOwnKey()
	settings["https"] = true
	r.configure(settings)
	const mac = "52:54:00:00:0b:02"
	file := ownedFile("node12")
	file["https"] = true
	r.describe(mac, file)
	m := r.on(bed.Spec{
		MAC: mac, Firmware: bed.UEFIHTTP, SecureBoot: true, Vars: ownerVars, Authorities: r.authorities(), Disks: []bed.Disk{r.newDisk("node12")},
	})
	r.expect(m, `Command line: .*cloudlets\.ask=https://`)
	r.expect(m, `Command line: .*word\.of=node12`)
	r.expect(m, `node12: a signed machine \(Linux`)
	r.expect(m, `node12 login: `)
	if strings.Count(m.Console.Text(), "Kernel is locked down from EFI Secure Boot") != 2 {
		t.Error("a kernel was not started by Secure Boot")
	}
	r.wentToDisk(mac, 1)
	trace := r.run("trace", mac)
	for _, want := range []string{"boot file https://10.77.0.1/", "fetched cloudlet.efi by HTTPS", "claimed its plan by HTTPS", "fetched core.img by HTTPS", "/own-disk/amd64.efi", "sent to its own disk"} {
		if !strings.Contains(trace, want) {
			t.Errorf("want %q in the trace:\n%s", want, trace)
		}
	}
	if plain := plainHTTP.FindAllString(trace, -1); plain != nil {
		t.Errorf("the trace says %q:\n%s", plain, trace)
	}
}
