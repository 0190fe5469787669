package dhcp

import (
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// FuzzSuboptions: what encapsulate writes, suboptionOf finds.
func FuzzSuboptions(f *testing.F) {
	f.Add([]byte{6, 1, 8, 71, 4, 0, 0, 0, 0, 255}, byte(71), []byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, foreign []byte, code byte, value []byte) {
		SuboptionOf(foreign, code)
		userClasses(&dhcpv4.DHCPv4{Options: dhcpv4.Options{77: foreign}})
		uuidText(foreign)
		if code == 0 || code == 255 || len(value) > 255 {
			return
		}
		got, ok := SuboptionOf(encapsulate(suboption{code, value}), code)
		if !ok || !slices.Equal(got, value) {
			t.Errorf("%x under %d comes back as %x, %v", value, code, got, ok)
		}
	})
}
