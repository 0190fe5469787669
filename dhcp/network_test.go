package dhcp_test

import (
	"testing"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

func TestParseRange(t *testing.T) {
	r, err := dhcp.ParseRange("10.0.0.100-10.0.0.200")
	if err != nil || r.String() != "10.0.0.100-10.0.0.200" || !r.Contains(dhcptest.IP(100)) || !r.Contains(dhcptest.IP(200)) || r.Contains(dhcptest.IP(99)) || r.Contains(dhcptest.IP(201)) {
		t.Errorf("range %s, %v", r, err)
	}
	for _, bad := range []string{"", "10.0.0.1", "10.0.0.9-10.0.0.1", "::1-::2", "a-b", "10.0.0.1-10.0.0.2-10.0.0.3"} {
		if r, err := dhcp.ParseRange(bad); err == nil {
			t.Errorf("%q is read as %s", bad, r)
		}
	}
}
