package provision_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cloudlets/provision"
)

func found() provision.Inspection {
	return provision.Inspection{
		Inventory: provision.Inventory{
			Arch: "amd64", Vendor: "Dell Inc.", Product: "PowerEdge R640", Serial: "ABC 123", CPUs: 8,
			Interfaces: []provision.InterfaceInfo{{Name: "eth1", MAC: "52:54:00:00:00:42"}, {Name: "eth0", MAC: "52:54:00:00:00:41", Switch: "sw3", Port: "Ethernet1/7"}},
		},
		Card: "52:54:00:00:00:41",
	}
}

// TestStrangersAreInspected: a stranger is never installed, and a machine with a file is
// decided about as ever.
func TestStrangersAreInspected(t *testing.T) {
	s := provision.Strangers{Image: "small"}
	for _, state := range []provision.State{{}, {MAC: "52:54:00:00:00:41", Armed: true}} {
		if d := s.Decide(nil, state); d.Action != provision.ActionInspect || !strings.Contains(d.Reason, "cloudlets approve") {
			t.Errorf("a stranger in state %+v: %+v", state, d)
		}
		if d := (provision.Strangers{}).Decide(nil, state); d.Action != provision.ActionDiscover {
			t.Errorf("without an image: %+v", d)
		}
	}
	if d := s.Decide(&provision.Spec{Image: "web"}, provision.State{Armed: true}); d.Action != provision.ActionInstall {
		t.Errorf("a machine with a file: %+v", d)
	}
}

func TestFirstRuleThatMatches(t *testing.T) {
	when := func(pairs ...string) provision.Rule {
		r := provision.Rule{When: map[string]string{}, Profile: "web", Hostname: "r3-{port}"}
		for i := 0; i < len(pairs); i += 2 {
			r.When[pairs[i]] = pairs[i+1]
		}
		return r
	}
	for name, c := range map[string]struct {
		rules     []provision.Rule
		listening bool
		silent    bool // the switch has said nothing
		want      int  // from 1; 0 for none
		why       string
	}{
		"the second":             {[]provision.Rule{when("product", "R7*"), when("product", "poweredge*640", "switch", "sw3")}, false, false, 2, `rule 1 wants product "R7*", and it is "PowerEdge R640"; rule 2 matches`},
		"the first wins":         {[]provision.Rule{when("vendor", "*"), when("mac", "*")}, false, false, 1, "rule 1 matches"},
		"none":                   {[]provision.Rule{when("cpus", "80")}, false, false, 0, `rule 1 wants cpus "80", and it is "8"`},
		"waits for the switch":   {[]provision.Rule{when("switch", "sw3"), when("mac", "*")}, true, true, 0, "no switch has said what it is yet"},
		"waits for the port":     {[]provision.Rule{when("mac", "*")}, true, true, 0, "makes a name of the switch"},
		"the switch is silent":   {[]provision.Rule{when("switch", "sw3"), when("mac", "*")}, false, true, 2, `rule 1 wants switch "sw3", and it is ""; rule 2 matches`},
		"a part twice":           {[]provision.Rule{when("product", "*R6*640")}, false, false, 0, ""},
		"without a star":         {[]provision.Rule{when("product", "PowerEdge")}, false, false, 0, ""},
		"no rules, and no words": {nil, false, false, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			i := found()
			i.Listening = c.listening
			if c.silent {
				i.Interfaces[1].Switch, i.Interfaces[1].Port = "", ""
			}
			v := provision.Strangers{Image: "small", Rules: c.rules}.Judge(i)
			got := 0
			for n := range c.rules {
				if v.Rule == &c.rules[n] {
					got = n + 1
				}
			}
			if got != c.want || !strings.Contains(v.Why, c.why) {
				t.Errorf("rule %d: %s; want %d: %s", got, v.Why, c.want, c.why)
			}
		})
	}
}

func TestNamesByRule(t *testing.T) {
	taken := func(name string) bool { return name == "web1" || name == "web2" || name == "r3-ethernet1-7" }
	for pattern, want := range map[string]string{
		"web{n}": "web3", "node-{serial}": "node-abc-123", "{switch}-{n}": "sw3-1", "m-{mac}": "m-52-54-00-00-00-41",
		"r3-{port}": "error: another machine has that", "{bmc}": "error: it has no bmc",
	} {
		name, err := (&provision.Rule{Hostname: pattern}).Name(found(), taken)
		if err != nil {
			name = "error: " + err.Error()
		}
		if begins, rest, _ := strings.Cut(want, ": "); name != want && !(begins == "error" && strings.Contains(name, rest)) {
			t.Errorf("%s makes %q, want %q", pattern, name, want)
		}
	}
	for _, pattern := range []string{"{rack}", "a{", "}{", "{n"} {
		if provision.CheckNamePattern(pattern) == nil {
			t.Errorf("%q is taken for a pattern", pattern)
		}
	}
}

// TestInspectionIsBounded: whatever a stranger says is small and printable when it is kept.
func TestInspectionIsBounded(t *testing.T) {
	long := strings.Repeat("\x1b[2J\u2028x", 5000)
	i := provision.Inspection{Inventory: provision.Inventory{Product: long, CPUs: -5}, CPU: long, BMC: long, Firmware: provision.Firmware{Version: long}}
	for range 5000 {
		i.Disks = append(i.Disks, provision.DiskInfo{Name: long, Serial: long, Model: long, Contents: long, WWN: long, ByPath: long, Transport: long})
		i.Interfaces = append(i.Interfaces, provision.InterfaceInfo{Name: long, MAC: long, Driver: long, Switch: long, Port: long})
		i.PCI = append(i.PCI, provision.PCIDevice{Address: long, Class: long, ID: long})
	}
	text, err := json.Marshal(i.Bounded())
	if err != nil || len(text) > 8<<10 || strings.Contains(string(text), `\u001b`) {
		t.Errorf("%d bytes are kept (%v): %.200s", len(text), err, text)
	}
	if len(i.Disks) != 5000 || i.Product != long {
		t.Error("the original was changed")
	}
}
