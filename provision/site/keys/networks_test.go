package keys_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestNetworks(t *testing.T) {
	s := goodSettings(t, `{
	"dns": ["9.9.9.9"], "leaseTime": "12h", "options": {"interface-mtu": 1400},
	"networks": [
		{"name": "lab", "interface": "eth1", "subnet": "10.0.0.0/24", "pool": ["10.0.0.100-10.0.0.120", "10.0.0.200-10.0.0.220"], "router": "10.0.0.1", "ntp": ["10.0.0.2"],
		 "options": {"interface-mtu": 9000, "150": "10.0.0.9", "224": "hex:01:ff", "posix-timezone": "UTC0", "time-offset": -3600, "ip-forwarding": true, "225": "text"}},
		{"interface": "eth1.20", "subnet": "10.0.20.0/24", "dhcp": "proxy", "dns": ["10.0.20.1"], "leaseTime": "1h"},
		{"name": "far", "subnet": "10.88.0.0/16", "pool": "10.88.1.1-10.88.2.255"},
		{"interface": "eth0", "subnet": "192.168.1.0/24", "dhcp": "off"},
		{"name": "known", "subnet": "10.89.0.0/16", "pool": []},
	]}`)
	var got []string
	for _, n := range s.Served() {
		got = append(got, fmt.Sprint(n.Title(), " ", n.Interface, " ", n.Subnet, " ", n.DHCP, " ", n.DNS, " ", n.LeaseTime))
	}
	want := []string{
		"lab eth1 10.0.0.0/24 10.0.0.100-10.0.0.120, 10.0.0.200-10.0.0.220 [9.9.9.9] 12h0m0s",
		"eth1.20 eth1.20 10.0.20.0/24 proxy [10.0.20.1] 1h0m0s",
		"far  10.88.0.0/16 10.88.1.1-10.88.2.255 [9.9.9.9] 12h0m0s",
		"eth0 eth0 192.168.1.0/24 off [9.9.9.9] 12h0m0s",
		"known  10.89.0.0/16  [9.9.9.9] 12h0m0s",
	}
	if text := strings.Join(got, "\n"); text != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", text, strings.Join(want, "\n"))
	}
	options := fmt.Sprint(s.Served()[0].Options)
	if want := "[{26 [35 40]} {150 [10 0 0 9]} {224 [1 255]} {100 [85 84 67 48]} {2 [255 255 241 240]} {19 [1]} {225 [116 101 120 116]}]"; options != want {
		t.Errorf("options %s, want %s", options, want)
	}
}

// TestNetworksOfIPv6 stand beside those of IPv4, on the same interface too. Each gets
// the common servers of its own protocol.
func TestNetworksOfIPv6(t *testing.T) {
	s := goodSettings(t, `{
	"dns": ["10.0.0.53", "fd77::53"], "ntp": ["10.0.0.123"], "options": {"interface-mtu": 1400},
	"networks": [
		{"name": "lab", "interface": "eth1", "subnet": "10.0.0.0/24", "pool": []},
		{"name": "lab6", "interface": "eth1", "subnet": "fd77::/64", "pool": "fd77::1000-fd77::1fff"},
		{"name": "far6", "subnet": "fd88::/64", "pool": []},
	]}`)
	var got []string
	for _, n := range s.Served() {
		got = append(got, fmt.Sprint(n.Title(), " ", n.IsIPv6(), " ", n.DHCP, " ", n.DNS, " ", n.NTP, " ", len(n.Options)))
	}
	want := []string{"lab false  [10.0.0.53] [10.0.0.123] 1", "lab6 true fd77::1000-fd77::1fff [fd77::53] [] 0", "far6 true  [fd77::53] [] 0"}
	if text := strings.Join(got, "\n"); text != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", text, strings.Join(want, "\n"))
	}
	spec := goodMachine(t, `{"address": ["10.0.0.5", "fd77::5"]}`)
	if got := fmt.Sprint(spec.Address, spec.MoreAddresses); got != "10.0.0.5 [fd77::5]" {
		t.Errorf("the machine has the addresses %s", got)
	}
}

// TestShortFormIsOneNetwork, whose subnet the interface says.
func TestShortFormIsOneNetwork(t *testing.T) {
	all := goodSettings(t, `{"interface": "eth1", "dhcp": "10.0.0.5-10.0.0.9", "router": "10.0.0.1", "leaseTime": "2h"}`).Served()
	if len(all) != 1 || all[0].Interface != "eth1" || all[0].Router.String() != "10.0.0.1" || all[0].LeaseTime != 2*time.Hour || all[0].DHCP.String() != "10.0.0.5-10.0.0.9" {
		t.Errorf("got %+v", all)
	}
}

func TestMistakesInNetworks(t *testing.T) {
	const lab = `{"name": "lab", "interface": "eth1", "subnet": "10.0.0.0/24", "pool": "10.0.0.5-10.0.0.9"}`
	for text, want := range map[string]string{
		`{"networks": []}`: "at least one",
		`{"networks": [{"interface": "eth1", "dhcp": "proxy"}]}`:                                                                                 `has no "subnet"`,
		`{"networks": [{"subnet": "10.0.0.1/24"}]}`:                                                                                              `the subnet is "10.0.0.0/24"`,
		`{"networks": [{"subnet": "10.0.0.0/24"}]}`:                                                                                              `needs either "pool"`,
		`{"networks": [{"subnet": "10.0.0.0/24", "dhcp": "off"}]}`:                                                                               "nothing would be served",
		`{"networks": [{"subnet": "10.0.0.0/24", "dhcp": "yes"}]}`:                                                                               `want "proxy" or "off"`,
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": "10.0.1.1-10.0.1.2"}]}`:                                                                 "is not within the subnet",
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": "10.0.0.9-10.0.0.2"}]}`:                                                                 "swap the two",
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": ["10.0.0.1-10.0.0.9", "10.0.0.9-10.0.0.10"]}]}`:                                         "overlap",
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": [], "router": "10.0.1.1"}]}`:                                                            "could not reach it",
		`{"networks": [{"subnet": "fd77::/64", "pool": "fd77::1-10.0.0.2"}]}`:                                                                    "is no range of addresses",
		`{"networks": [{"subnet": "fd77::/48", "pool": "fd77::1-fd77:0:0:9::1"}]}`:                                                               "several subnets of 64 bits",
		`{"networks": [{"subnet": "fd77::/64", "pool": [], "router": "10.0.0.1"}]}`:                                                              "router advertisements",
		`{"networks": [{"subnet": "fd77::/64", "pool": [], "dns": ["10.0.0.1"]}]}`:                                                               "of the other protocol",
		`{"networks": [{"subnet": "fd77::/64", "pool": [], "options": {"200": "x"}}]}`:                                                           "options of DHCPv4",
		`{"networks": [{"subnet": "fd77::/64", "pool": [], "ntp": ["fe80::1"]}]}`:                                                                "want one such as fd77::21",
		`{"interface": "eth1", "dhcp": "fd77::1-fd77::9"}`:                                                                                       "wants an entry in",
		`{"networks": [` + lab + `, {"name": "lab", "subnet": "10.1.0.0/24", "pool": []}]}`:                                                      `two networks are called "lab"`,
		`{"networks": [` + lab + `, {"interface": "eth1", "subnet": "10.1.0.0/24", "pool": []}]}`:                                                "both on the interface eth1",
		`{"networks": [` + lab + `, {"subnet": "10.0.0.0/16", "pool": []}]}`:                                                                     "overlap",
		`{"interface": "eth1", "networks": [` + lab + `]}`:                                                                                       `"interface" is for one network`,
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": [], "options": {"router": "10.0.0.1"}}]}`:                                               "is no DHCP option that is known by name",
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": [], "options": {"67": "file"}}]}`:                                                       "the server itself decides about option 67",
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": [], "options": {"interface-mtu": 70000}}]}`:                                             "no whole number of 2 bytes",
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": [], "options": {"200": 5}}]}`:                                                           "write them as",
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": [], "options": {"200": ""}}]}`:                                                          "1 to 255 bytes",
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": [], "options": {"interface-mtus": 5}}]}`:                                                `did you mean "interface-mtu"`,
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": [], "options": {"static-routes": ["10.0.0.1", "gateway"]}}]}`:                           "is not an IPv4 address",
		`{"networks": [{"subnet": "fd77::/64", "pool": [], "metadata": true}]}`:                                                                  "one of IPv6",
		`{"networks": [{"subnet": "10.0.0.0/24", "pool": [], "metadata": true}]}`:                                                                "reach the metadata service by their router",
		`{"networks": [{"interface": "eth1", "subnet": "169.254.0.0/16", "dhcp": "off", "metadata": true}]}`:                                     "has the address of the metadata service",
		`{"options": {"static-routes": "10.0.0.1"}, "networks": [{"interface": "eth1", "subnet": "10.0.0.0/24", "pool": [], "metadata": true}]}`: "in option 121",
		`{"interface": "eth1", "dhcp": "proxy", "metadata": true, "options": {"33": "10.0.0.1"}}`:                                                "in option 121",
		`{"metadata": true, "networks": [` + lab + `]}`:                                                                                          `"metadata" is for one network`,
	} {
		_, problems := settings(text)
		if got := lines(problems); !strings.HasPrefix(got, "cloudlets.json:1:") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
