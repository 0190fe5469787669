package enrol

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/web/api"
)

// TestApprovalsInOrder: machines take names in the order that a person asked for.
func TestApprovalsInOrder(t *testing.T) {
	noon := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	machine := func(n int, since time.Duration, serial, port string) api.Detail {
		mac := provision.MAC(fmt.Sprintf("52:54:00:00:00:0%d", n))
		return api.Detail{
			Machine: api.Machine{MAC: mac, Since: noon.Add(since), Facts: map[string]string{"serial": serial}},
			Inspection: &provision.Inspection{Card: mac, Inventory: provision.Inventory{
				Interfaces: []provision.InterfaceInfo{{MAC: string(mac), Switch: "sw3", Port: port}},
			}},
		}
	}
	all := []api.Detail{machine(3, 2, "S2", "Ethernet1/10"), machine(1, 3, "", "Ethernet1/9"), machine(2, 1, "S10", "Ethernet1/1")}
	all = append(all, api.Detail{Machine: api.Machine{MAC: "52:54:00:00:00:04", Since: noon.Add(4)}}) // of which nothing is known
	for order, want := range map[string]string{"": "3124", "since": "2314", "mac": "1234", "serial": "3214", "port": "2134"} {
		got := ""
		for _, mac := range sorted(slices.Clone(all), order) {
			got += string(mac[len(mac)-1])
		}
		if got != want {
			t.Errorf("by %q: %s, want %s", order, got, want)
		}
	}
}

func TestApprovalsByPattern(t *testing.T) {
	macs := []provision.MAC{"52:54:00:00:00:03", "52:54:00:00:00:01"}
	for name, c := range map[string]struct {
		name, address, want string
	}{
		"a range":              {"node[09-40]", "10.0.3.[11-50]", "node09 10.0.3.11, node10 10.0.3.12"},
		"numbers":              {"node{n:02}", "10.0.3.{n+10}", "node07 10.0.3.17, node08 10.0.3.18"},
		"no names":             {"", "", " ,  "},
		"one name for all":     {"node", "", "all 2 machines would be called node"},
		"one address for all":  {"", "10.0.0.1", "all 2 machines would have the address 10.0.0.1"},
		"too few names":        {"node[1]", "", "more machines than"},
		"a range and a number": {"node[1-2]", "10.0.3.{n}", "do not go together"},
		"no pattern":           {"node[1-", "", "has no end"},
		"an unknown name":      {"node{port}", "", "there is no {port} here"},
	} {
		f := approveFlags{file: provision.Approval{Profile: "web", Hostname: c.name, Address: c.address}, first: 7}
		all, err := f.approvals(macs)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprintf("%s %s, %s %s", all[0].Hostname, all[0].Address, all[1].Hostname, all[1].Address)
			if all[0].MAC != macs[0] || all[1].MAC != macs[1] || all[1].Profile != "web" {
				t.Errorf("%s: %+v", name, all)
			}
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestApproveUsage: what cannot be meant is refused before a daemon is asked.
func TestApproveUsage(t *testing.T) {
	web := provision.Approval{Profile: "web"}
	for want, c := range map[string]struct {
		f    approveFlags
		args []string
	}{
		"approve which machines":  {approveFlags{file: web}, nil},
		"which machines? give":    {approveFlags{file: web, waiting: true}, []string{"525400000001"}},
		"approve them as what":    {approveFlags{}, []string{"525400000001"}},
		"--sort size is no order": {approveFlags{file: web, sort: "size"}, []string{"525400000001"}},
		"--first -1 is below":     {approveFlags{file: web, first: -1}, []string{"525400000001"}},
		"node1":                   {approveFlags{file: web}, []string{"node1"}},
	} {
		if err := c.f.args(nil, c.args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v %q: %v, want %s", c.f, c.args, err, want)
		}
	}
	if err := (&approveFlags{file: web}).args(nil, []string{"525400000001", "525400000002"}); err != nil {
		t.Error(err)
	}
}
