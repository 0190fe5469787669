//go:build long

package bed_test

import (
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
)

// TestLongUBoot boots a board whose firmware is U-Boot, as Debian builds it and with
// its own order of boot devices: by DHCP and TFTP, up to the image's own kernel with
// the agent's token. A machine that is not armed is left alone, and whoever runs the
// script by hand is told why.
func TestLongUBoot(t *testing.T) {
	t.Parallel()
	image, err := smallCloudlet(t.Context(), bed.CloudKernel, bed.ARM64)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, map[string]string{"small": image}, asServer)
	const mac = "52:54:00:00:07:01"
	r.describe(mac, object{"image": "small", "hostname": "node71", "install": "once"})
	spec := bed.Spec{MAC: mac, Arch: bed.ARM64, Firmware: bed.UBoot, Disks: []bed.Disk{r.newDisk("node71")}}
	m := r.on(spec)
	r.expect(m, `Executing script`)
	r.expect(m, `cloudlets: installing small on `+mac)
	r.expect(m, `Kernel command line: .* cloudlets\.mac=`+mac+` cloudlets\.token=[0-9a-f]{32}`)
	if state := r.machine(mac); state.Stage != provision.StageKernel {
		t.Errorf("the machine is in stage %s", state.Stage)
	}
	m.Stop()
	trace := r.run("trace", mac)
	for _, want := range []string{"DISCOVER from U-Boot", "boot file boot.scr.uimg", "boots kernel", "/ramdisk by TFTP", "/vmlinuz by TFTP"} {
		if !strings.Contains(trace, want) {
			t.Errorf("want %q in the trace:\n%s", want, trace)
		}
	}

	r.describe(mac, object{"image": "small", "hostname": "node71"})
	m = r.on(spec)
	r.expect(m, "`serverip' not set")
	r.expect(m, `=> $`)
	if err := m.Console.Type("setenv serverip " + bed.ServerIP + "; tftpboot ${scriptaddr} boot.scr.uimg; source ${scriptaddr}\n"); err != nil {
		t.Fatal(err)
	}
	r.expect(m, `cloudlets: no install is armed`)
	r.expect(m, `=> $`)
	if strings.Contains(m.Console.Text(), "Starting kernel") {
		t.Error("a machine that is not armed started a kernel")
	}
}
