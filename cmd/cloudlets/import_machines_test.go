package main

import (
	"strings"
	"testing"

	"cloudlets/provision"
)

func TestTableOfMachines(t *testing.T) {
	machines, err := readMachineTable("rack.csv", strings.NewReader("\ufeffMAC, name,profile,address\n# rack 3\n52-54-00-00-00-01,node1,web,10.0.0.21\n525400000002, node2 ,web,\n"))
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
	} {
		if _, err := readMachineTable("rack.csv", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %s", text, err, why)
		}
	}
}
