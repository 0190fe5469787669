package enrol

import (
	"strings"
	"testing"

	"cloudlets/provision"
)

func TestTableOfMachines(t *testing.T) {
	machines, err := readMachineTable("rack.csv", strings.NewReader("\ufeffMAC, name,profile,address\n# rack 3\n52-54-00-00-00-01,node1,web,10.0.0.21\n525400000002, node2 ,web,\n"), 1)
	want := []provision.Approval{
		{MAC: "52:54:00:00:00:01", Hostname: "node1", Profile: "web", Address: "10.0.0.21"},
		{MAC: "52:54:00:00:00:02", Hostname: "node2", Profile: "web"},
	}
	if err != nil || len(machines) != 2 || machines[0] != want[0] || machines[1] != want[1] {
		t.Errorf("%+v, %v", machines, err)
	}
	for text, why := range map[string]string{
		"":                                       "names of its columns",
		"name,profile\n":                         "no column mac",
		"mac,nmae\n":                             "nmae",
		"mac,mac\n":                              "each once",
		"mac\n":                                  "no machines",
		"mac,name\nx,a\ny,b\n":                   "rack.csv:3",
		"mac\n52:54:00:00:00:01\n525400000001\n": "is in line 2 already",
		"mac,name\n52:54:00:00:00:01\n":          "wrong number of fields",
		"mac,name\n525400000001,n[1]\n525400000002,n[1]\n": "rack.csv:3: name 52:54:00:00:00:02: there are more machines",
		"mac,name\n525400000001,n{x}\n":                    "rack.csv:2: name 52:54:00:00:00:01: there is no {x} here",
	} {
		if _, err := readMachineTable("rack.csv", strings.NewReader(text), 1); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %s", text, err, why)
		}
	}
}

// TestTableWithPatterns: lines take names and addresses one after another, each from its own
// pattern.
func TestTableWithPatterns(t *testing.T) {
	machines, err := readMachineTable("rack.csv", strings.NewReader(`mac,name,address
525400000001,node[08-10],10.0.0.[1-9]
525400000002,db{n:02},10.0.1.{n+10}
525400000003,node[08-10],10.0.0.[1-9]
525400000004,gateway,
525400000005,node[08-10],
`), 5)
	var got []string
	for _, m := range machines {
		got = append(got, m.Hostname+" "+m.Address)
	}
	if want := "node08 10.0.0.1, db06 10.0.1.16, node09 10.0.0.2, gateway , node10 "; err != nil || strings.Join(got, ", ") != want {
		t.Errorf("%q, %v, want %s", got, err, want)
	}
}
