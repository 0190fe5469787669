//go:build long

package bed_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongCloudInit installs a Debian that nobody but its cloud-init gives a name, and boots
// it: once it finds what it is told in its own files, by the datasource NoCloud, and once it
// asks the server at 169.254.169.254, by the datasource Ec2. On each console its hostname
// is to be seen, and what a command of the user's data and a file that they wrote say.
func TestLongCloudInit(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	image, err := bed.CloudCloudlet(t.Context(), filepath.Join(root, ".cache"), filepath.Join(root, "testdata", "debian"), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, map[string]string{"cloud": image}, nil)
	r.configure(object{"networks": []object{{
		"interface": bed.Bridge, "subnet": "10.77.0.0/24", "pool": "10.77.0.100-10.77.0.200", "metadata": true,
	}}})
	for _, test := range []struct{ datasource, mac, name, from string }{
		{"seed", "52:54:00:00:00:61", "cloud1", "seed-dir (/var/lib/cloud/seed/nocloud)"},
		{"image", "52:54:00:00:00:62", "cloud2", "metadata (http://169.254.169.254)"},
	} {
		r.describe(test.mac, object{
			"image": "cloud", "hostname": test.name, "install": "once", "handover": "switch",
			"cloudInit": object{"datasource": test.datasource, "userData": userData},
		})
		m := r.on(bed.Spec{MAC: test.mac, Firmware: bed.BIOS, Disks: []bed.Disk{r.newDisk(test.name)}})
		r.expect(m, `told of `+test.name+` by `+regexp.QuoteMeta(test.from)+`, `+test.name+` has a file`)
		r.installed(test.mac, 1)
		m.Stop()
	}
}

// userData is a template of cloud-init: it says what the metadata say. Its command says
// the name in the file that cloud-init writes, since DHCP names the running system too.
const userData = `## template: jinja
#cloud-config
write_files:
  - {path: /etc/told, content: "has a file"}
runcmd:
  - echo "told of {{ v1.local_hostname }} by {{ v1.subplatform }}, $(cat /etc/hostname) $(cat /etc/told)" >/dev/console
`
