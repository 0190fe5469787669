package bed_test

import (
	"testing"

	"cloudlets/testdata/bed"
)

// lockedDown is what a kernel says that was started by Secure Boot.
const lockedDown = `Kernel is locked down from EFI Secure Boot`

// signedFile is the file of a machine whose firmware insists on signatures.
func signedFile(hostname string) object {
	return object{
		"image": "small", "hostname": hostname, "install": "once", "secureBoot": true,
		"config": object{"args": object{"role": "a signed machine"}},
	}
}

// TestSecureBootServer installs a machine whose firmware insists on signatures: by
// shim and GRUB over TFTP, with the kernel that Debian signed. It is sent to its own
// disk afterwards, which starts by signatures too.
func TestSecureBootServer(t *testing.T) {
	alongside(t, 69)
	r := newRig(t, map[string]string{"small": small}, asServer)
	const mac = "52:54:00:00:06:01"
	r.describe(mac, signedFile("node61"))
	spec := bed.Spec{MAC: mac, Firmware: bed.UEFI, SecureBoot: true, Disks: []bed.Disk{r.newDisk("node61")}}
	m := r.on(spec)
	r.expect(m, lockedDown)
	r.expect(m, `node61: a signed machine \(Linux`)
	r.expect(m, `node61 login: `)
	r.installed(mac, 1)
	m.Stop()

	m = r.on(spec)
	r.expect(m, lockedDown)
	r.expect(m, `node61 login: `)
	r.wentToDisk(mac, 1)
}
