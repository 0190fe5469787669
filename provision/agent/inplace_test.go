package agent

import (
	"crypto/x509"
	"testing"
	"testing/fstest"

	"cloudlets/provision"
)

// An update in place trusts no server that is not the site's own, as far as a person asked
// for that.
func TestInPlaceTrust(t *testing.T) {
	authority := new(x509.Certificate)
	for _, test := range []struct {
		trust   *x509.Certificate
		servers []string
		trusted bool
	}{
		{nil, []string{"http://10.0.0.1", "http://10.0.0.2:8080"}, true},
		{nil, []string{"http://10.0.0.1", "https://10.0.0.2"}, false},
		{authority, []string{"https://10.0.0.1", "https://10.0.0.2"}, true},
		{authority, []string{"https://10.0.0.1", "http://10.0.0.2"}, false},
	} {
		if err := (InPlace{Trust: test.trust}).checkTrust(test.servers); (err == nil) != test.trusted {
			t.Errorf("%v with an authority %t: %v", test.servers, test.trust != nil, err)
		}
	}
}

// A machine carries out what is armed for one of its own cards, also of one in a bond.
func TestInPlaceCard(t *testing.T) {
	sys := fstest.MapFS{
		"class/net/lo/address":                     {Data: []byte("00:00:00:00:00:00\n")},
		"class/net/eth0/address":                   {Data: []byte("52:54:00:00:00:01\n")},
		"class/net/eth1/address":                   {Data: []byte("52:54:00:00:00:01\n")},
		"class/net/eth1/bonding_slave/perm_hwaddr": {Data: []byte("52:54:00:00:00:02\n")},
		"class/net/bond0/address":                  {Data: []byte("52:54:00:00:00:01\n")},
		"class/net/bonding_masters":                {Data: []byte("bond0\n")},
	}
	for card, own := range map[provision.MAC]bool{"52:54:00:00:00:01": true, "52:54:00:00:00:02": true, "52:54:00:00:00:03": false, "": false} {
		if hasCard(sys, card) != own {
			t.Errorf("card %q: own %t, want %t", card, !own, own)
		}
	}
}
