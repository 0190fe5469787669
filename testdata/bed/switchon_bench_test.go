package bed_test

import (
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
)

// bootPath is one way from firmware to a kernel.
type bootPath struct {
	name string
	spec bed.Spec
	// https has the firmware trust the servers, and fetch by HTTPS.
	https bool
}

// bootPaths are the ways that both this server and its peers serve.
var bootPaths = []bootPath{
	{"BIOS", bed.Spec{Firmware: bed.BIOS}, false},
	{"UEFI-PXE", bed.Spec{Firmware: bed.UEFI}, false},
	{"HTTP-Boot", bed.Spec{Firmware: bed.UEFIHTTP}, false},
	{"HTTPS-Boot", bed.Spec{Firmware: bed.UEFIHTTP}, true},
	{"shim", bed.Spec{Firmware: bed.UEFI, SecureBoot: true}, false},
	{"arm64-PXE", bed.Spec{Arch: bed.ARM64, Firmware: bed.UEFI}, false},
}

// benchMAC is the machine of the benchmark.
const benchMAC = "52:54:00:00:0c:01"

// BenchmarkBedSwitchOn reports the seconds from switch-on to the first word of a program
// of the RAM disk that reaches the server: what the agent says first, and besides its claim; or,
// with dnsmasq and nginx as servers, a request of busybox. Both boot one kernel with the modules
// of one image, by turns. An iPXE waits for an IPv6 router, which this server answers for; so the
// peers have a network without one, and another one where dnsmasq is one. It also reports this
// server's time as a part of the peers'.
func BenchmarkBedSwitchOn(b *testing.B) {
	for _, path := range bootPaths {
		b.Run(path.name, func(b *testing.B) {
			var said, claimed, alone, routed time.Duration
			for b.Loop() {
				first, claim := path.bootAgent(b)
				said, claimed = said+first, claimed+claim
				alone += path.bootBusybox(b, false)
				routed += path.bootBusybox(b, true)
			}
			b.ReportMetric(said.Seconds()/float64(b.N), "s")
			b.ReportMetric(claimed.Seconds()/float64(b.N), "claim-s")
			b.ReportMetric(alone.Seconds()/float64(b.N), "dnsmasq-nginx-s")
			b.ReportMetric(said.Seconds()/alone.Seconds(), "of-dnsmasq-nginx")
			b.ReportMetric(routed.Seconds()/float64(b.N), "routed-dnsmasq-nginx-s")
			b.ReportMetric(said.Seconds()/routed.Seconds(), "of-routed-dnsmasq-nginx")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// bootAgent boots the machine from this server, whose image is packed already.
func (p bootPath) bootAgent(b *testing.B) (said, claimed time.Duration) {
	b.Helper()
	var r *rig
	if p.spec.Arch == bed.ARM64 {
		r = newARM64Rig(b, false, ipxeARM64)
	} else {
		r = newRig(b, map[string]string{"small": small}, asServer)
	}
	file := object{"image": "small", "hostname": "node", "install": "once", "secureBoot": p.spec.SecureBoot}
	if p.https {
		r.configure(object{"https": true})
		p.spec.Authorities, file["https"] = r.authorities(), true
	}
	r.describe(benchMAC, file)
	imageReady(r.ctx, b, r.daemon)
	p.spec.MAC, p.spec.Disks = benchMAC, []bed.Disk{r.newDisk("node")}
	start := time.Now()
	m := r.on(p.spec)
	r.expect(m, `will write vda`)
	m.Stop()
	for _, e := range r.events(benchMAC) {
		if said == 0 && e.Kind == provision.KindLog && strings.HasPrefix(e.Text, "console: ") {
			said = e.Time.Sub(start)
		}
		if e.Kind == provision.KindClaim && said != 0 {
			return said, e.Time.Sub(start)
		}
	}
	b.Fatalf("the trace does not show what the agent says, and its claim:\n%s", r.run("trace", benchMAC))
	return 0, 0
}

// bootBusybox boots the machine from dnsmasq and nginx.
func (p bootPath) bootBusybox(b *testing.B, router bool) time.Duration {
	b.Helper()
	s := newPeers(b, p.spec.Arch, p.https, router)
	switch {
	case p.spec.SecureBoot:
		s.startsWith(b, "shimx64.efi")
	case p.spec.Arch == bed.ARM64:
		s.startsWith(b, "ipxe-arm64.efi")
	default:
		s.startsWith(b, "snponly.efi")
	}
	p.spec.MAC, p.spec.Authorities = benchMAC, s.authorities
	start := time.Now()
	m, err := bed.Start(s.ctx, s.network, s.dir, p.spec)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Stop()
	expect(s.ctx, b, m, `busybox: reported`)
	took := time.Since(start)
	b.Logf("%s by dnsmasq and nginx, router %t: %s", p.name, router, took.Round(time.Millisecond))
	return took
}
