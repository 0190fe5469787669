package keys_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestNetworkOfAMachine: a profile says what machines share, and the file's own list of
// interfaces replaces the profile's.
func TestNetworkOfAMachine(t *testing.T) {
	const lab = `{"bootEntry": true, "network": {"renderer": "networkd", "dns": ["10.0.0.53", "fd00::53"], "search": ["lab.example"], "interfaces": [{"mac": "52:54:00:00:00:09", "dhcp": true}]}}`
	got := goodMachine(t, `{"extends": "lab", "network": {"interfaces": [
			{"mac": "52-54-00-00-00-03", "description": "the console", "dhcp": true},
			{"name": "bond0", "bond": {"members": ["5254.0000.0001", "52:54:00:00:00:02"], "mode": "802.3ad"}, "mtu": 9000},
			{"name": "bond0.20", "vlan": {"id": 20, "of": "bond0"}, "mtu": 9000, "addresses": ["10.0.0.5/24", "fd00::5/64"],
				"routes": [{"to": "0.0.0.0/0", "via": "10.0.0.1"}, {"to": "::/0", "via": "fe80::1"}]},
			{"name": "br0", "bridge": {"members": ["52-54-00-00-00-04"]}, "addresses": ["10.1.0.0/31"]},
		]}}`, lab)
	text, err := json.Marshal(got.Network)
	want := `{"renderer":"networkd","interfaces":[` +
		`{"mac":"52:54:00:00:00:03","dhcp":true},` +
		`{"name":"bond0","bond":{"members":["52:54:00:00:00:01","52:54:00:00:00:02"],"mode":"802.3ad"},"mtu":9000},` +
		`{"name":"bond0.20","vlan":{"id":20,"of":"bond0"},"mtu":9000,"addresses":["10.0.0.5/24","fd00::5/64"],"routes":[{"to":"0.0.0.0/0","via":"10.0.0.1"},{"to":"::/0","via":"fe80::1"}]},` +
		`{"name":"br0","bridge":{"members":["52:54:00:00:00:04"]},"addresses":["10.1.0.0/31"]}` +
		`],"dns":["10.0.0.53","fd00::53"],"search":["lab.example"]}`
	if string(text) != want || err != nil {
		t.Errorf("the network is\n%s\nwant\n%s (%v)", text, want, err)
	}
	if !got.BootEntry {
		t.Error(`"bootEntry" of the profile is lost`)
	}
}

// TestMistakesInANetwork: each mistake is told with its place and what to do.
func TestMistakesInANetwork(t *testing.T) {
	card := func(rest string) string { return `{"mac": "52:54:00:00:00:01"` + rest + `}` }
	bond := `{"name": "bond0", "bond": {"members": ["52:54:00:00:00:01", "52:54:00:00:00:02"]}}`
	for name, c := range map[string]struct{ interfaces, place, want string }{
		"no interfaces":          {``, "1:13", `no "interfaces"`},
		"unknown key":            {card(`, "mtuu": 9000`), "2:30", `unknown key "mtuu"; did you mean "mtu"?`},
		"neither":                {`{"dhcp": true}`, "2:1", `neither "mac"`},
		"both":                   {card(`, "name": "lan0"`), "2:9", `a card is known by its "mac" alone`},
		"a name and no kind":     {`{"name": "lan0"}`, "2:10", `one of "bond", "vlan" and "bridge"`},
		"a card's name":          {`{"name": "eth0", "dhcp": true}`, "2:10", `write the card's address`},
		"a name for a shell":     {`{"name": "a;b", "bridge": {"members": ["52:54:00:00:00:01"]}}`, "2:10", `not the name of an interface`},
		"a long name":            {`{"name": "abcdefghijklmnop", "bridge": {"members": ["52:54:00:00:00:01"]}}`, "2:10", `at most 14`},
		"twice":                  {card("") + ",\n" + card(""), "3:1", `in the list already`},
		"an MTU of nothing":      {card(`, "mtu": 10`), "2:37", `a whole number from 68 to 65535`},
		"a small MTU for IPv6":   {card(`, "mtu": 1000, "addresses": ["fd00::1/64"]`), "2:37", `IPv6 needs packets of 1280 bytes`},
		"address without prefix": {card(`, "addresses": ["10.0.0.5"]`), "2:44", `want one such as 10.0.0.5/24`},
		"broadcast":              {card(`, "addresses": ["10.0.0.255/24"]`), "2:44", `the first or the last address`},
		"loopback":               {card(`, "addresses": ["127.0.0.1/8"]`), "2:44", `no host on a network can have`},
		"address twice":          {card(`, "addresses": ["10.0.0.5/24", "10.0.0.5/16"]`), "2:43", `the address of 52:54:00:00:00:01 already`},
		"router outside":         {card(`, "addresses": ["10.0.0.5/24"], "routes": [{"to": "0.0.0.0/0", "via": "10.0.1.1"}]`), "2:71", `outside of all subnets`},
		"router is itself":       {card(`, "addresses": ["10.0.0.5/24"], "routes": [{"to": "0.0.0.0/0", "via": "10.0.0.5"}]`), "2:71", `outside of all subnets`},
		"router of IPv6":         {card(`, "dhcp": true, "routes": [{"to": "::/0", "via": "fe80::1"}]`), "2:55", `has no IPv6 address`},
		"two versions":           {card(`, "dhcp": true, "routes": [{"to": "::/0", "via": "10.0.0.1"}]`), "2:55", `another version of IP`},
		"half a route":           {card(`, "dhcp": true, "routes": [{"to": "10.0.0.0/8"}]`), "2:55", `needs "to"`},
		"a host as a subnet":     {card(`, "routes": [{"to": "10.0.0.1/8", "via": "10.0.0.1"}]`), "2:48", `the subnet is 10.0.0.0/8`},
		"bond of nothing":        {`{"name": "bond0", "bond": {}}`, "2:27", `has no "members"`},
		"bond of names":          {`{"name": "bond0", "bond": {"members": ["eth0"]}}`, "2:40", `MAC address`},
		"mode":                   {`{"name": "bond0", "bond": {"members": ["52:54:00:00:00:01"], "mode": "lacp"}}`, "2:70", `"802.3ad"`},
		"member with addresses":  {bond + ",\n" + card(`, "dhcp": true`), "3:1", `give them to bond0`},
		"member with an entry":   {bond + ",\n" + card(`, "mtu": 9000`), "3:1", `write its MTU at the bond`},
		"member of two":          {bond + ",\n" + `{"name": "br0", "bridge": {"members": ["52:54:00:00:00:01"]}}`, "3:39", `in bond0 already`},
		"VLAN of nothing":        {bond + ",\n" + `{"name": "v20", "vlan": {"id": 20, "of": "bond1"}}`, "3:42", `no interface of this network is called "bond1"; did you mean "bond0"?`},
		"VLAN without tag":       {`{"name": "v20", "vlan": {"of": "52:54:00:00:00:01"}}`, "2:25", `needs "id"`},
		"VLAN's tag":             {`{"name": "v20", "vlan": {"id": 4095, "of": "52:54:00:00:00:01"}}`, "2:32", `from 1 to 4094`},
		"VLAN's name":            {`{"name": "x.21", "vlan": {"id": 20, "of": "52:54:00:00:00:01"}}`, "2:10", `had the tag 21, and it has 20`},
		"VLAN twice":             {`{"name": "a", "vlan": {"id": 20, "of": "52:54:00:00:00:01"}},` + "\n" + `{"name": "b", "vlan": {"id": 20, "of": "52:54:00:00:00:01"}}`, "3:23", `a is the VLAN 20`},
		"VLAN of a member":       {bond + ",\n" + `{"name": "v20", "vlan": {"id": 20, "of": "52:54:00:00:00:01"}}`, "3:42", `is in bond0; put the VLAN on that`},
		"VLAN of a VLAN":         {`{"name": "a", "vlan": {"id": 20, "of": "52:54:00:00:00:01"}},` + "\n" + `{"name": "b", "vlan": {"id": 20, "of": "a"}}`, "3:40", `is a VLAN itself`},
		"VLAN's MTU":             {bond + ",\n" + `{"name": "v20", "vlan": {"id": 20, "of": "bond0"}, "mtu": 9000}`, "3:59", `above that of bond0, which is 1500`},
		"bridge of itself":       {`{"name": "br0", "bridge": {"members": ["br0"]}}`, "2:39", `is a bridge`},
		"bridge in a circle":     {`{"name": "br0", "bridge": {"members": ["v20"]}},` + "\n" + `{"name": "v20", "vlan": {"id": 20, "of": "br0"}}`, "3:42", `cannot be in the bridge`},
		"renderer":               {"RENDERER", "2:13", `did you mean "networkd"?`},
	} {
		t.Run(name, func(t *testing.T) {
			text := "{\"network\": {\"interfaces\": [\n" + c.interfaces + "\n]}}"
			if c.interfaces == "RENDERER" {
				text = "{\"network\": {\n\"renderer\": \"networkdd\", \"interfaces\": [" + card("") + "]}}"
			}
			_, problems := machine(text)
			got := lines(problems)
			if want := machineFile + ":" + c.place + ": "; !strings.HasPrefix(got, want) || !strings.Contains(got, c.want) {
				t.Errorf("want %s…%s, have %s", want, c.want, got)
			}
			if strings.Count(got, "\n") != 1 {
				t.Errorf("one mistake is told more than once: %s", got)
			}
		})
	}
}
