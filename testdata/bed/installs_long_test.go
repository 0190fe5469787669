//go:build long

package bed_test

import (
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/web/api"
)

// TestLongBIOSAgain installs the small cloudlet on a BIOS machine by switch, and then
// Debian over it by reboot.
func TestLongBIOSAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"debian-12": debian, "small": small}, asServer)
	const mac = "52:54:00:00:00:01"
	file := object{
		"image": "small", "hostname": "node1", "address": "10.77.0.11", "handover": "switch",
		"disk":   object{"serial": "NODE1"},
		"config": object{"args": object{"role": "a mail server"}},
	}
	r.describe(mac, file)
	m, plan := r.onceConfirmed(mac)
	r.expect(m, `node1: a mail server \(Linux`)
	r.expect(m, `node1 login: `)
	if strings.Count(m.Console.Text(), seaBIOS) != 1 {
		t.Error("a switch went through the firmware a second time")
	}
	r.installed(mac, 1)
	r.reported(mac, plan)
	m.Stop()

	file["image"], file["handover"] = "debian-12", "reboot"
	file["config"] = object{"args": object{"role": "a web server"}}
	r.describe(mac, file)
	r.shows(mac, func(m api.Detail) bool { return len(m.Outdated) > 0 })
	if shown := r.run("machines", "node1"); !strings.Contains(shown, "it has small, and its file names debian-12; its configuration has changed") {
		t.Errorf("the machine has another system than its file names, and is shown as\n%s", shown)
	}
	r.run("install", "node1", "--wipe")
	m = r.on(m.Spec)
	r.expect(m, `node1: a web server \(Linux`)
	r.expect(m, `node1 login: `)
	if strings.Count(m.Console.Text(), seaBIOS) != 2 {
		t.Error("a reboot did not go through the firmware a second time")
	}
	r.wentToDisk(mac, 2)
	r.sshAnswers("10.77.0.11")
	r.saysThatItRuns(mac)
	r.routerAnswered(mac, provision.StageKernel)
}

// TestLongUEFIProxy installs a UEFI machine by reboot, beside dnsmasq.
func TestLongUEFIProxy(t *testing.T) {
	t.Parallel()
	t.Run("Debian", func(t *testing.T) {
		t.Parallel()
		installBesideDNSMasq(t, debian)
	})
	// The small image has no program that could configure its network, which the trace tells.
	t.Run("Small", func(t *testing.T) {
		t.Parallel()
		r, mac := installBesideDNSMasq(t, small)
		if trace := r.run("trace", mac); !strings.Contains(trace, `warning: the installed system does not get the "network" of its file`) {
			t.Errorf("the trace does not warn of the network:\n%s", trace)
		}
	})
}

// installBesideDNSMasq installs a machine that is sent to its disk afterwards.
func installBesideDNSMasq(t *testing.T, image string) (r *rig, mac string) {
	r = newRig(t, map[string]string{"image": image}, asProxy)
	r.dnsmasq()
	mac = "52:54:00:00:00:02"
	r.describe(mac, object{
		"image": "image", "hostname": "node2", "install": "once", "handover": "reboot",
		"network": object{"interfaces": []object{{"mac": mac, "dhcp": true}}},
	})
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.UEFI, Disks: []bed.Disk{r.newDisk("node2")}})
	r.expect(m, `node2 login: `)
	if !strings.Contains(m.Console.Text(), "handing over by reboot") {
		t.Error("the machine did not go through a reboot")
	}
	r.routerAnswered(mac, provision.StageKernel)
	r.wentToDisk(mac, 1)
	if trace := r.run("trace", mac); !strings.Contains(trace, "own-disk/amd64.efi by TFTP") {
		t.Errorf("it did not get to its disk by its own program:\n%s", trace)
	}
	return r, mac
}

// TestLongServerKilled kills the server in the middle of an install, as a power
// failure would, and starts it again: the install goes on, ends right, and
// hands over by kexec.
func TestLongServerKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"image": debian}, asProxy)
	r.dnsmasq()
	const mac = "52:54:00:00:00:04"
	r.describe(mac, object{"image": "image", "hostname": "node4", "install": "once", "handover": "kexec"})
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{r.newDisk("node4")}})
	r.expect(m, `cloudlets:   [0-9.]+ (kB|MB) of `)
	if err := r.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	r.expect(m, `connection lost, trying again`)
	if err := r.daemon.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.expect(m, `node4 login: `)
	r.installed(mac, 1)
}
