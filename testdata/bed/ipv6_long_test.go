//go:build long

package bed_test

import "testing"

// TestLongUEFIOverIPv6: an installed machine is sent to its disk by IPv6.
func TestLongUEFIOverIPv6(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, nil)
	m := r.installByIPv6("reboot")
	r.expect(m, `node login: `)
	r.wentToDisk(ipv6MAC, 1)
	program := "boot/" + ipv6MAC + "/own-disk/amd64.efi"
	r.wentByIPv6("boot file tftp://[fd77::1]/"+program, "fetched "+program+" by TFTP", "sent to its own disk")
}
