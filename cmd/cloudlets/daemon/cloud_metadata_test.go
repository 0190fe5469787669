//go:build linux

package daemon

import (
	"net/netip"
	"slices"
	"testing"

	"cloudlets/provision/site/keys"
)

// TestMetadataInterfaces: the address is on the interfaces of the networks that have the
// service, and on another one only for networks behind relays.
func TestMetadataInterfaces(t *testing.T) {
	at := func(iface, own string, metadata bool) place {
		p := place{Network: keys.Network{Interface: iface, Metadata: metadata}}
		if own != "" {
			p.own = netip.MustParsePrefix(own)
		}
		return p
	}
	plain, with := at("eth0", "10.0.0.1/24", false), at("eth1", "10.0.1.1/24", true)
	absent, relayed := at("eth2", "", true), at("", "", true)
	for _, test := range []struct {
		name   string
		places []place
		want   []string
	}{
		{"one of two", []place{plain, with}, []string{"eth1"}},
		{"one that is not there", []place{plain, absent}, nil},
		{"behind relays alone", []place{relayed, plain}, []string{"eth0"}},
		{"behind relays, too", []place{relayed, plain, with}, []string{"eth1"}},
		{"nothing there", []place{relayed, absent}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := &Daemon{}
			d.places.set(test.places)
			if got := d.metadataInterfaces(); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
