//go:build long

package bed_test

import (
	"testing"

	"cloudlets/testdata/bed"
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
