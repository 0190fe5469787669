package bed_test

import (
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// TestSecondCard installs machines by another network card than the one that names
// their file: one that the file lists, and one that the file's UUID makes known.
func TestSecondCard(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, asServer)
	for _, c := range []struct {
		name, primary, card string
		file                object
	}{
		{"cards1", "52:54:00:00:08:01", "52:54:00:00:08:11", object{"macs": []string{"52:54:00:00:08:11"}}},
		{"cards2", "52:54:00:00:08:02", "52:54:00:00:08:12", object{"uuid": "4c4c4544-0042-3510-8052-b4c04f564433"}},
	} {
		c.file["image"], c.file["hostname"], c.file["install"] = "small", c.name, "once"
		c.file["config"] = object{"args": object{"role": "a web server"}}
		r.describe(c.primary, c.file)
		spec := bed.Spec{MAC: c.card, Unplugged: []string{c.primary}, Firmware: bed.BIOS, Disks: []bed.Disk{r.newDisk(c.name)}}
		spec.UUID, _ = c.file["uuid"].(string)
		m := r.on(spec)
		r.expect(m, c.name+" login: ")
		m.Stop()
		r.installed(c.primary, 1)
		if d := r.machine(c.card); string(d.MAC) != c.primary || d.Facts["macs"] != c.primary+" "+c.card {
			t.Errorf("by its card %s, the machine is %s with the cards %q", c.card, d.MAC, d.Facts["macs"])
		}
		if trace := r.run("trace", c.card); !strings.Contains(trace, "(by its card "+c.card+")") {
			t.Errorf("the trace does not name the card:\n%s", trace)
		}
	}
}
