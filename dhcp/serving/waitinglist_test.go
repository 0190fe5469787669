package serving

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"cloudlets/dhcp"
)

// TestReasonsAreBounded: further ones replace that whose last request is the oldest.
func TestReasonsAreBounded(t *testing.T) {
	var w WaitingList
	client := dhcp.Client{MAC: []byte{2, 0, 0, 0, 0, 1}}
	now := time.Unix(1e9, 0)
	for i := range 3 * maxReasons {
		now = now.Add(time.Second)
		w.Add(client, netip.Addr{}, fmt.Sprintf("relayed by network %d", i), now)
		w.Add(client, netip.Addr{}, "full", now)
	}
	all := w.Unanswered()
	if len(all) != maxReasons || all[0].Reason != "full" || all[0].Requests != 3*maxReasons || all[1].Reason != fmt.Sprintf("relayed by network %d", 3*maxReasons-1) {
		t.Errorf("%d reasons: %+v", len(all), all)
	}
}

// TestWaitingIsBounded: a flood of clients does not grow the list.
func TestWaitingIsBounded(t *testing.T) {
	var w WaitingList
	now := time.Unix(1e9, 0)
	for i := range 3 * maxWaitingClients {
		w.Add(dhcp.Client{MAC: []byte{2, 0, 0, 0, byte(i >> 8), byte(i)}}, netip.Addr{}, "full", now.Add(time.Duration(i)))
	}
	if all := w.List(now.Add(time.Minute)); len(all) != maxWaitingClients || all[0].Client.MAC[5] != byte(3*maxWaitingClients-1) {
		t.Errorf("%d are listed, the last is %v", len(all), all[0].Client.MAC)
	}
	if all := w.List(now.Add(time.Hour)); len(all) != 0 {
		t.Errorf("%d still wait after an hour", len(all))
	}
}
