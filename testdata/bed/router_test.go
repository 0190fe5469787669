package bed_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
)

// routerWait is less than any iPXE waits for an IPv6 router that does not answer:
// that is 16 s at least.
const routerWait = 10 * time.Second

// events are all that the daemon knows of what a machine did.
func (r *rig) events(mac string) []provision.Event {
	r.Helper()
	var all []provision.Event
	for line := range strings.Lines(r.run("trace", mac, "--json")) {
		var e provision.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			r.Fatalf("%v: %s", err, line)
		}
		all = append(all, e)
	}
	return all
}

// scriptWaits are the times from the last packet of an iPXE's DHCP to the script
// that began a stage, one for each such boot, as the machine's trace has them.
func scriptWaits(events []provision.Event, stage provision.Stage) []time.Duration {
	var waits []time.Duration
	var last time.Time
	for _, e := range events {
		switch {
		case e.Kind == provision.KindDHCP && strings.Contains(e.Text, "iPXE: "):
			last = e.Time
		case e.Kind == provision.KindDecision && e.Stage == stage && !last.IsZero():
			waits, last = append(waits, e.Time.Sub(last)), time.Time{}
		}
	}
	return waits
}

// routerAnswered checks that the machine's last boot with a script that began a
// stage did not wait for an IPv6 router. A first boot into an install may also wait
// for its image to be packed.
func (r *rig) routerAnswered(mac string, stage provision.Stage) {
	r.Helper()
	waits := scriptWaits(r.events(mac), stage)
	if len(waits) == 0 {
		r.Fatalf("the trace shows no script of stage %s:\n%s", stage, r.run("trace", mac))
	}
	wait := waits[len(waits)-1]
	r.Logf("the iPXE of %s asked for its script %s after its DHCP", mac, wait.Round(time.Millisecond))
	if wait > routerWait {
		r.Errorf("the iPXE asked for its script %s after its DHCP, so it waited for a router", wait)
	}
}

// BenchmarkBedBoot installs the small cloudlet on a BIOS and on a UEFI machine,
// without router advertisements and with them. It reports seconds, by the trace's
// own times: from the end of iPXE's DHCP to its script, from switch-on to the
// script, and from switch-on to the end of the install.
func BenchmarkBedBoot(b *testing.B) {
	for _, firmware := range []bed.Firmware{bed.BIOS, bed.UEFI} {
		for _, setting := range []string{"off", "on"} {
			b.Run(string(firmware)+"/"+setting, func(b *testing.B) {
				var sum bootTimes
				for b.Loop() {
					sum = sum.plus(bootOnce(b, firmware, setting))
				}
				for unit, all := range map[string]time.Duration{"dhcp-to-script-s": sum.wait, "on-to-script-s": sum.script, "on-to-installed-s": sum.installed} {
					b.ReportMetric(all.Seconds()/float64(b.N), unit)
				}
			})
		}
	}
}

// bootTimes are how long the steps of a boot took.
type bootTimes struct{ wait, script, installed time.Duration }

func (t bootTimes) plus(u bootTimes) bootTimes {
	return bootTimes{t.wait + u.wait, t.script + u.script, t.installed + u.installed}
}

// bootOnce installs a machine with "routerAdvertisement" set to a value.
func bootOnce(b *testing.B, firmware bed.Firmware, setting string) bootTimes {
	b.Helper()
	const mac = "52:54:00:00:04:01"
	r := newRig(b, map[string]string{"small": small}, asServer)
	r.describe(mac, object{"image": "small", "hostname": "node", "install": "once"})
	r.configure(object{"routerAdvertisement": setting})
	imageReady(r.ctx, b, r.daemon)
	start := time.Now()
	m := r.on(bed.Spec{MAC: mac, Firmware: firmware, Disks: []bed.Disk{r.newDisk("node")}})
	r.expect(m, `node login: `)
	m.Stop()
	events := r.events(mac)
	waits := scriptWaits(events, provision.StageKernel)
	if len(waits) == 0 {
		b.Fatalf("the trace shows no boot of an iPXE: %v", events)
	}
	times := bootTimes{wait: waits[0]}
	for _, e := range events {
		switch {
		case e.Kind == provision.KindDecision && times.script == 0:
			times.script = e.Time.Sub(start)
		case e.Kind == provision.KindDone:
			times.installed = e.Time.Sub(start)
		}
	}
	return times
}
