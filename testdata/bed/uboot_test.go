//go:build long

package bed_test

import (
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongUBoot installs a board whose firmware is U-Boot, as Debian builds it and with
// its own order of boot devices: by DHCP and TFTP to the login of its new system, and
// from its disk when it is switched on again. Before it is armed, the board is left alone,
// and whoever runs the script by hand is told why.
func TestLongUBoot(t *testing.T) {
	t.Parallel()
	r := newARM64Rig(t, false)
	const mac = "52:54:00:00:07:01"
	file := object{"image": "small", "hostname": "node71"}
	r.describe(mac, file)
	spec := bed.Spec{MAC: mac, Arch: bed.ARM64, Firmware: bed.UBoot, Disks: []bed.Disk{r.newDisk("node71")}}
	m := r.on(spec)
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
	m.Stop()

	file["install"] = "once"
	r.describe(mac, file)
	m = r.on(spec)
	r.expect(m, `Executing script`)
	r.expect(m, `cloudlets: installing small on `+mac)
	r.expect(m, `Kernel command line: .* cloudlets\.mac=`+mac+` cloudlets\.token=[0-9a-f]{32}`)
	r.expect(m, `node71 login: `)
	r.installed(mac, 1)
	m.Stop()
	trace := r.run("trace", mac)
	for _, want := range []string{"DISCOVER from U-Boot", "boot file boot.scr.uimg", "boots kernel", "/ramdisk by TFTP", "/vmlinuz by TFTP", "claimed its plan by HTTP"} {
		if !strings.Contains(trace, want) {
			t.Errorf("want %q in the trace:\n%s", want, trace)
		}
	}

	m = r.on(spec)
	r.expect(m, `node71 login: `)
	if strings.Contains(m.Console.Text(), "Executing script") {
		t.Error("an installed machine whose disk comes first asked the network")
	}
}
