package bed_test

import (
	"regexp"
	"testing"
	"time"

	"cloudlets/images/bytesize"
	"cloudlets/testdata/bed"
	"cloudlets/web/api"
)

// BenchmarkBedLive reports the seconds from switch-on to the login prompt of a Debian that
// is started in memory, as a part of those of the same Debian on a disk of its own, and which
// part of its root had been fetched by then. The two take turns.
func BenchmarkBedLive(b *testing.B) {
	for _, firmware := range []bed.Firmware{bed.BIOS, bed.UEFI} {
		b.Run(string(firmware), func(b *testing.B) {
			var inMemory, local time.Duration
			var fetched, whole int64
			for b.Loop() {
				l := newLive(b, "debian-12", debian, firmware, 1024, "")
				inMemory += time.Since(l.begun)
				got, of := l.fetched()
				fetched, whole = fetched+got, whole+of
				l.machine.Stop()
				local += bootLocal(b, firmware)
			}
			b.ReportMetric(inMemory.Seconds()/float64(b.N), "s")
			b.ReportMetric(local.Seconds()/float64(b.N), "local-s")
			b.ReportMetric(inMemory.Seconds()/local.Seconds(), "of-local")
			b.ReportMetric(float64(fetched)/float64(whole), "of-root")
			b.ReportMetric(0, "ns/op")
		})
	}
}

var tookToStart = regexp.MustCompile(`its system took ([0-9.]+ .?B) of the root's ([0-9.]+ .?B) to start`)

// fetched is how many bytes of its root a live machine had when the rest began to be read
// ahead, some seconds after its last new one.
func (l live) fetched() (bytes, of int64) {
	l.Helper()
	var found []string
	l.shows(l.mac, func(api.Detail) bool {
		found = tookToStart.FindStringSubmatch(l.run("trace", l.mac))
		return found != nil
	})
	bytes, err := bytesize.Parse(found[1])
	if err == nil {
		of, err = bytesize.Parse(found[2])
	}
	if err != nil {
		l.Fatal(err)
	}
	return bytes, of
}

// bootLocal is how long a machine takes that boots Debian from its own disk alone.
func bootLocal(b *testing.B, firmware bed.Firmware) time.Duration {
	b.Helper()
	r := newRig(b, nil, asServer)
	const mac = "52:54:00:00:00:62"
	disk := r.newDisk("local")
	r.run("disk", debian, "--out", disk.File, "--force", "--env", "hostname=node61", "--env", "mac="+mac)
	begun := time.Now()
	m := r.on(bed.Spec{MAC: mac, Firmware: firmware, LocalOnly: true, Disks: []bed.Disk{disk}, Memory: 1024})
	r.expect(m, `node61 login: `)
	took := time.Since(begun)
	m.Stop()
	return took
}
