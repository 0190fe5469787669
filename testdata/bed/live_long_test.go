//go:build long

package bed_test

import (
	"testing"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/web/api"
)

// TestLongLive: a whole Debian in memory, which says by itself that it runs. Its own DHCP
// client configures the network anew while its root still comes by that.
func TestLongLive(t *testing.T) {
	t.Parallel()
	l := newLive(t, "debian-12", debian, bed.UEFI, 1024, "")
	l.saysThatItRuns(l.mac)
	l.logIn()
	l.aloneAfterwards("find / -xdev -type f -exec md5sum {} + >/dev/null")
}

// TestLongLiveKeeps: a live machine has what its image keeps on the partition that an install
// made for it, from one start to the next; and an image that is not its own leaves it alone.
func TestLongLiveKeeps(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small, "other": small}, asServer)
	const mac = "52:54:00:00:00:62"
	file := object{"image": "small", "hostname": "node62", "persistent": "64MB", "install": "once"}
	r.describe(mac, file)
	disk := r.newDiskOf("node62", 1<<30)
	spec := bed.Spec{MAC: mac, Firmware: bed.BIOS, Memory: 512, Disks: []bed.Disk{disk}}
	start := func(wants ...string) live {
		l := live{rig: r, mac: mac, machine: r.on(spec)}
		for _, want := range append(wants, `node62 login: `) {
			r.expect(l.machine, want)
		}
		l.logIn()
		return l
	}
	l := start()
	l.types("echo of the disk >/root/kept; sync; echo written", `\nwritten\r?\n`)
	l.machine.Stop()
	r.installed(mac, 1)

	file["boot"] = "live"
	r.describe(mac, file)
	r.shows(mac, func(m api.Detail) bool { return m.Next.Action == provision.ActionLive })
	l = start(`the root of small, [0-9.]+ MB, is /dev/nbd0`, `what the system keeps is on /dev/vda4`)
	l.types("cat /root/kept; echo in memory >>/root/kept; echo lost >/lost; sync; echo written", `\nof the disk\r?\nwritten\r?\n`)
	l.machine.Stop()
	l = start(`what the system keeps is on /dev/vda4`)
	l.types("cat /root/kept; cat /lost || echo gone", `\nof the disk\r?\nin memory\r?\n(?s:.*)gone\r?\n`)
	l.machine.Stop()

	r.run("boot", mac, "other", "--once", "live")
	l = start(`the root of other, [0-9.]+ MB, is /dev/nbd0`)
	l.types("cat /root/kept || echo not its own", `\nnot its own\r?\n`)
	if m := r.machine(mac); m.Installs != 1 || m.Has == nil || m.Has.Image != "small" || m.Live == nil || m.Live.Image != "other" {
		t.Errorf("after %d installs the machine has %+v on its disk and %+v in memory", m.Installs, m.Has, m.Live)
	}
}
