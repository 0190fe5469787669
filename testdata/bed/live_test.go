package bed_test

import (
	"regexp"
	"strconv"
	"testing"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/web"
)

// live boots a machine without a disk, whose system is in its memory: it comes up before its
// root was fetched, says that it runs, and goes on when the server is gone.
func live(t *testing.T, image, file string, firmware bed.Firmware, memory int, read string) {
	r := newRig(t, map[string]string{image: file}, asServer)
	const mac = "52:54:00:00:00:61"
	r.describe(mac, object{"image": image, "hostname": "node61", "address": "10.77.0.61", "boot": "live"})
	if m := r.machine(mac); m.Next.Action != provision.ActionLive {
		t.Fatalf("its next boot is %+v", m.Next)
	}
	m := r.on(bed.Spec{MAC: mac, Firmware: firmware, Memory: memory})
	r.expect(m, `the root of `+image+`, [0-9.]+ MB, is /dev/nbd0`)
	r.expect(m, `node61 login: `)
	r.saysThatItRuns(mac)
	if m := r.machine(mac); m.Live == nil || m.Live.Image != image || m.Live.Pack == "" || m.Has != nil || m.Installs != 0 {
		t.Errorf("the machine is shown as one that has %+v in memory and %+v on its disk, after %d installs", m.Live, m.Has, m.Installs)
	}
	r.tells(mac, `its system took [0-9.]+ .?B of the root's [0-9.]+ .?B to start`)
	r.tells(mac, `all [0-9.]+ .?B of its root are in memory`)
	if err := r.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := m.Console.Type("root\n"); err != nil {
		t.Fatal(err)
	}
	r.expect(m, `# $`)
	// What was never read is there, and what is written stays in memory.
	if err := m.Console.Type("sync; echo 3 >/proc/sys/vm/drop_caches; " + read + " && echo kept >/kept && cat /kept && echo sound\n"); err != nil {
		t.Fatal(err)
	}
	r.expect(m, `\nkept\r?\nsound\r?\n`)
}

// tells waits until a machine's trace says something.
func (r *rig) tells(mac, want string) (found []string) {
	r.Helper()
	pattern := regexp.MustCompile(want)
	r.shows(mac, func(web.Detail) bool {
		found = pattern.FindStringSubmatch(r.run("trace", mac))
		return found != nil
	})
	return found
}

func TestLiveDebian(t *testing.T) {
	t.Parallel()
	live(t, "debian-12", debian, bed.BIOS, 1024, "find / -xdev -type f -exec md5sum {} + >/dev/null")
}

func number(t testing.TB, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
