//go:build long

package bed_test

import (
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongSecondCard installs a machine by another network card than the one that names
// its file, and that the file lists.
func TestLongSecondCard(t *testing.T) {
	t.Parallel()
	installBySecondCard(t, object{"macs": []string{secondCard}}, "")
}

// secondCard is the card by which the machine boots.
const secondCard = "52:54:00:00:08:11"

// installBySecondCard installs a machine with an SMBIOS UUID that file makes known.
func installBySecondCard(t *testing.T, file object, uuid string) {
	const name, primary = "cards", "52:54:00:00:08:01"
	r := newRig(t, map[string]string{"small": small}, asServer)
	file["image"], file["hostname"], file["install"] = "small", name, "once"
	file["config"] = object{"args": object{"role": "a web server"}}
	r.describe(primary, file)
	m := r.on(bed.Spec{MAC: secondCard, UUID: uuid, Unplugged: []string{primary}, Firmware: bed.BIOS, Disks: []bed.Disk{r.newDisk(name)}})
	r.expect(m, name+" login: ")
	m.Stop()
	r.installed(primary, 1)
	if d := r.machine(secondCard); string(d.MAC) != primary || d.Facts["macs"] != primary+" "+secondCard {
		t.Errorf("by its card %s, the machine is %s with the cards %q", secondCard, d.MAC, d.Facts["macs"])
	}
	if trace := r.run("trace", secondCard); !strings.Contains(trace, "(by its card "+secondCard+")") {
		t.Errorf("the trace does not name the card:\n%s", trace)
	}
}
