//go:build long

package bed_test

import "testing"

// TestLongUEFIOverIPv6: an installed machine is sent to its disk by IPv6: by PXE, and then
// by HTTP Boot, which its firmware tries next.
func TestLongUEFIOverIPv6(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, nil)
	m := r.installByIPv6("reboot")
	r.expect(m, `node login: `)
	r.wentToDisk(ipv6MAC, 1)
	r.wentByIPv6("boot file http://[fd77::1]/loader/snponly.efi", "fetched boot loader snponly.efi by HTTP")
}
