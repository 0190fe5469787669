package bed_test

import (
	"regexp"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/web/api"
)

// live is a live machine: one whose file says that its system is started in memory.
type live struct {
	*rig
	mac, image string
	machine    *bed.Machine
	begun      time.Time // when it was switched on
}

// newLive boots a machine without a disk, up to its login prompt. It says by then that it
// runs, or will.
func newLive(t testing.TB, image, file string, firmware bed.Firmware, memory int, cmdline string) live {
	t.Helper()
	r := newRig(t, map[string]string{image: file}, asServer)
	l := live{rig: r, mac: "52:54:00:00:00:61", image: image}
	r.describe(l.mac, object{"image": image, "hostname": "node61", "address": "10.77.0.61", "boot": "live", "cmdline": cmdline})
	imagesReady(r.ctx, t, r.daemon, 2) // to be installed, and to be live
	if m := r.machine(l.mac); m.Next.Action != provision.ActionLive {
		t.Fatalf("its next boot is %+v", m.Next)
	}
	l.begun = time.Now()
	l.machine = r.on(bed.Spec{MAC: l.mac, Firmware: firmware, Memory: memory})
	r.expect(l.machine, `the root of `+image+`, [0-9.]+ MB, is /dev/nbd0`)
	r.expect(l.machine, `node61 login: `)
	return l
}

// logIn gets a shell on the console.
func (l live) logIn() {
	l.Helper()
	if err := l.machine.Console.Type("root\n"); err != nil {
		l.Fatal(err)
	}
	l.expect(l.machine, `# $`)
}

// types types a line at the shell, and waits for what it prints.
func (l live) types(line, want string) {
	l.Helper()
	if err := l.machine.Console.Type(line + "\n"); err != nil {
		l.Fatal(err)
	}
	l.expect(l.machine, want)
}

// aloneAfterwards waits until all is in memory, and has the server go away: what was never
// read is there, and what is written stays in memory.
func (l live) aloneAfterwards(read string) {
	l.Helper()
	l.tells(l.mac, `all [0-9.]+ .?B of its root are in memory`)
	l.tells(l.mac, `its system took [0-9.]+ .?B of the root's [0-9.]+ .?B to start`)
	if m := l.rig.machine(l.mac); m.Live == nil || m.Live.Image != l.image || m.Live.Pack == "" || m.Has != nil || m.Installs != 0 {
		l.Errorf("the machine is shown as one that has %+v in memory and %+v on its disk, after %d installs", m.Live, m.Has, m.Installs)
	}
	if err := l.daemon.Stop(); err != nil {
		l.Fatal(err)
	}
	l.types("sync; echo 3 >/proc/sys/vm/drop_caches; "+read+" && echo kept >/kept && cat /kept && echo sound", `\nkept\r?\nsound\r?\n`)
}

// tells waits until a machine's trace says something.
func (r *rig) tells(mac, want string) {
	r.Helper()
	pattern := regexp.MustCompile(want)
	r.shows(mac, func(api.Detail) bool { return pattern.MatchString(r.run("trace", mac)) })
}

// TestLive: a machine without a disk has its system in memory. When the network is taken from
// it while parts of its root are still at the server, they come all the same; and once all is
// there, the server may go away.
func TestLive(t *testing.T) {
	alongside(t, 25)
	l := newLive(t, "small", small, bed.BIOS, 512, "cloudlets.readahead=30")
	l.logIn()
	l.types("ip addr flush dev eth0; md5sum /boot/vmlinuz-* && echo there", `\nthere\r?\n`)
	l.types("dmesg | grep -c 'network was configured again'", `\n[1-9]\r?\n`)
	l.aloneAfterwards("md5sum /boot/* /lib/modules/*/kernel/fs/*/* >/dev/null")
}
