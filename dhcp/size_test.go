package dhcp

import (
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// TestSizeOf: it is what the library writes.
func TestSizeOf(t *testing.T) {
	for _, n := range []int{0, 1, 59, 60, 254, 255, 256, 510, 511, 600} {
		p, err := dhcpv4.New(dhcpv4.WithGeneric(dhcpv4.OptionDomainName, make([]byte, n)), dhcpv4.WithGeneric(dhcpv4.OptionHostName, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := sizeOf(p), len(p.ToBytes()); got != want {
			t.Errorf("with an option of %d bytes, the size is %d, want %d", n, got, want)
		}
	}
}
