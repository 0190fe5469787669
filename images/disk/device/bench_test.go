//go:build linux

package device_test

import (
	"testing"

	"cloudlets/images/disk/device"
)

// BenchmarkWrite writes and verifies a disk with 100 MB of files on a device
// in memory: what is left is what this package itself costs.
func BenchmarkWrite(b *testing.B) {
	m := newMedium(b, 512<<20, 512)
	s := system(b, 100_000_000)
	for b.Loop() {
		armed, f := arm(b, m)
		_, content := planned(b, s, f)
		result, err := armed.Write(b.Context(), content, device.Options{})
		check(b, err, armed.Close())
		b.SetBytes(result.Written)
	}
}
