package serving

import (
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

// TestRecentIsBounded: a flood of clients takes no more memory than that.
func TestRecentIsBounded(t *testing.T) {
	var r Recent[dhcp.Station, time.Time]
	now := time.Unix(1e9, 0)
	for n := range 5 * maxRecent {
		r.PutFirst(dhcp.Station{1, 2, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, now, now)
	}
	if n := len(r.now) + len(r.old); n > 2*maxRecent {
		t.Errorf("%d clients are remembered", n)
	}
}

func TestWarningsAreThrottled(t *testing.T) {
	c := dhcptest.NewClock()
	var th Throttle
	if !th.Pass(c.Now()) || th.Pass(c.Now()) {
		t.Error("want the first warning and not the second")
	}
	c.Forward(throttleTime)
	if !th.Pass(c.Now()) {
		t.Error("want a warning after a while")
	}
}
