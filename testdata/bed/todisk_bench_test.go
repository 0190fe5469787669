package bed_test

import (
	"testing"
	"time"

	"cloudlets/testdata/bed"
)

// BenchmarkBedToDisk reports the seconds from switch-on to the login prompt of an installed
// machine that its firmware sends to the network first: by the program that starts its disk,
// and by an iPXE that gives up; and those of the same disk without the network.
func BenchmarkBedToDisk(b *testing.B) {
	for _, firmware := range []bed.Firmware{bed.BIOS, bed.UEFI, bed.UEFIHTTP, bed.UEFIv6} {
		b.Run(string(firmware), func(b *testing.B) {
			const mac = "52:54:00:00:0d:01"
			mode := asServer
			if firmware == bed.UEFIv6 {
				mode = nil
			}
			r := newRig(b, map[string]string{"small": small}, mode)
			file := object{"image": "small", "hostname": "node", "install": "once"}
			if firmware == bed.UEFIv6 {
				r.withIPv6()
				file["address"] = "fd77::21"
			}
			r.describe(mac, file)
			imageReady(r.ctx, b, r.daemon)
			spec := bed.Spec{MAC: mac, Firmware: firmware, Disks: []bed.Disk{r.newDisk("node")}}
			r.login(spec)
			var network, given, local time.Duration
			for b.Loop() {
				network += r.login(spec)
				if firmware != bed.BIOS {
					file["quirks"] = object{"bootFile": "snponly.efi"}
					r.describe(mac, file)
					given += r.login(spec)
					delete(file, "quirks")
					r.describe(mac, file)
				}
				spec.LocalOnly = true
				local += r.login(spec)
				spec.LocalOnly = false
			}
			n := float64(b.N)
			b.ReportMetric(network.Seconds()/n, "network-s")
			b.ReportMetric(local.Seconds()/n, "local-s")
			b.ReportMetric((network-local).Seconds()/n, "more-s")
			if firmware != bed.BIOS {
				b.ReportMetric((given-local).Seconds()/n, "more-by-ipxe-s")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// login switches a machine on until its system asks for a login, and off again.
func (r *rig) login(spec bed.Spec) time.Duration {
	r.Helper()
	start := time.Now()
	m := r.on(spec)
	r.expect(m, `node login: `)
	took := time.Since(start)
	m.Stop()
	return took
}
