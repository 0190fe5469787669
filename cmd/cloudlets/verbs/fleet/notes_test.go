package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/provision"
	"cloudlets/web/api"
)

// TestNotes: what is the same for several machines is told once.
func TestNotes(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	machine := func(i int, change func(*api.Machine)) *api.Machine {
		m := &api.Machine{MAC: provision.MAC(fmt.Sprintf("52:54:00:00:00:%02d", i)), Hostname: fmt.Sprint("node", i)}
		change(m)
		return m
	}
	told := func(machines ...*api.Machine) string {
		var n notes
		for _, m := range machines {
			n.addMachine(m, "")
		}
		var text strings.Builder
		n.print(&text)
		return text.String()
	}
	var hall []*api.Machine
	for i := range 12 {
		hall = append(hall, machine(i, func(m *api.Machine) {
			m.Problems = []string{"machines/" + string(m.MAC) + ".json: the image web cannot be booted: no kernel"}
		}))
	}
	quiet := func(i int, since time.Time) *api.Machine {
		return machine(i, func(m *api.Machine) { m.Quiet = &provision.Quiet{Since: since, Cause: "no power"} })
	}
	clock, later := printing.Clock(noon), printing.Clock(noon.Add(time.Minute))
	for name, test := range map[string]struct{ got, want string }{
		"nothing": {told(machine(1, func(*api.Machine) {})), ""},
		"a hall": {told(hall...), "\nnode0, node1, node2 and 9 more cannot work as they are, or not as they seem to be meant:\n" +
			"  the image web cannot be booted: no kernel\n"},
		"four": {told(hall[:4]...), "\nnode0, node1, node2 and node3 cannot work as they are, or not as they seem to be meant:\n  the image web cannot be booted: no kernel\n"},
		"one":  {told(hall[0]), "\nnode0 cannot work as it is, or not as it seems to be meant:\n  the image web cannot be booted: no kernel\n"},
		"a line of a file": {
			told(machine(1, func(m *api.Machine) { m.Problems = []string{"machines/52:54:00:00:00:01.json:3:7: /disk: is a number"} })),
			"\nnode1 cannot work as it is, or not as it seems to be meant:\n  machines/52:54:00:00:00:01.json:3:7: /disk: is a number\n",
		},
		"quiet at once":    {told(quiet(1, noon), quiet(2, noon)), "\nnode1 and node2 are quiet since " + clock + ": no power\n"},
		"one after others": {told(quiet(1, noon), quiet(2, noon.Add(time.Minute))), "\nnode1 and node2 are quiet since between " + clock + " and " + later + ": no power\n"},
		"outdated twice, failed once": {
			told(machine(1, func(m *api.Machine) { m.Outdated = []string{"a", "b"} }), machine(2, func(m *api.Machine) { m.Outdated, m.Failure = []string{"a", "b"}, "no disk" })),
			"\nnode1 and node2 are outdated: a; b\n\nnode2 failed: no disk\n",
		},
	} {
		if test.got != test.want {
			t.Errorf("%s:\n%swant:\n%s", name, test.got, test.want)
		}
	}
}
