package bed_test

import (
	"fmt"
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
}

// benchMAC is the machine of the benchmark.
const benchMAC = "52:54:00:00:0c:01"

// BenchmarkBedSwitchOn reports the seconds from switch-on to the first word of a program
// of the RAM disk that reaches the server: the agent's claim; or, with dnsmasq and nginx as
// servers, a request of busybox. Both boot one kernel with the modules of one image, by
// turns. It also reports this server's time as a part of the peers'.
func BenchmarkBedSwitchOn(b *testing.B) {
	for _, path := range bootPaths {
		b.Run(path.name, func(b *testing.B) {
			var ours, peers time.Duration
			for b.Loop() {
				ours += path.bootAgent(b)
				peers += path.bootBusybox(b)
			}
			b.ReportMetric(ours.Seconds()/float64(b.N), "s")
			b.ReportMetric(peers.Seconds()/float64(b.N), "dnsmasq-nginx-s")
			b.ReportMetric(ours.Seconds()/peers.Seconds(), "of-dnsmasq-nginx")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// bootAgent boots the machine from this server, whose image is packed already.
func (p bootPath) bootAgent(b *testing.B) time.Duration {
	b.Helper()
	r := newRig(b, map[string]string{"small": small}, asServer)
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
		if e.Kind == provision.KindClaim {
			return e.Time.Sub(start)
		}
	}
	b.Fatalf("the trace shows no claim:\n%s", r.run("trace", benchMAC))
	return 0
}

// bootBusybox boots the machine from dnsmasq and nginx.
func (p bootPath) bootBusybox(b *testing.B) time.Duration {
	b.Helper()
	s := newPeers(b, p.https)
	if p.spec.SecureBoot {
		s.startsWith(b, "shimx64.efi")
	} else {
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
	b.Log(fmt.Sprintf("%s by dnsmasq and nginx: %s", p.name, took.Round(time.Millisecond)))
	return took
}
