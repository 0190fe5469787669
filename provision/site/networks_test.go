package site_test

import (
	"net/netip"
	"strings"
	"testing"
)

// TestAddressOnEachNetwork: a machine's file may reserve one on each, and one that is
// on none is reported at the file.
func TestAddressOnEachNetwork(t *testing.T) {
	s := open(t, folder(t, map[string]string{
		"cloudlets.json":                  `{"networks": [{"subnet": "10.0.0.0/24", "pool": []}, {"subnet": "10.88.0.0/16", "pool": []}, {"subnet": "fd77::/64", "pool": []}]}`,
		"machines/52:54:00:00:00:01.json": `{"address": ["10.0.0.5", "10.88.0.5", "fd77::5"]}`,
		"machines/52:54:00:00:00:02.json": `{"address": "10.99.0.5"}`,
		"machines/52:54:00:00:00:03.json": `{"address": ["10.88.0.5"]}`,
		"machines/52:54:00:00:00:04.json": `{"address": ["10.0.0.7", "10.0.0.7"]}`,
	}))
	for _, a := range []string{"10.0.0.5", "10.88.0.5", "fd77::5"} {
		if mac, ok := s.ByAddress(netip.MustParseAddr(a)); !ok || mac != mac1 {
			t.Errorf("%s is that of %s", a, mac)
		}
	}
	got := problems(s)
	for _, want := range []string{
		"machines/52:54:00:00:00:02.json: address 10.99.0.5 is in the subnet of no network",
		"address 10.88.0.5 is that of 52:54:00:00:00:01 already",
		"10.0.0.7 is in the list already",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("problems:\n%s\nwant %q", got, want)
		}
	}
}
