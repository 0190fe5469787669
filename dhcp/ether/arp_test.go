package ether

import (
	"context"
	"net/netip"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/serving"
)

// TestARP: a real host answers, a real network without one is silent, and who stops
// waiting does so at once.
func TestARP(t *testing.T) {
	w := dhcptest.NewWire(t)
	dhcptest.Run(t, "ip", "-n", w.Client, "addr", "add", "10.99.0.100/24", "dev", "eth0")
	err := dhcptest.Inside(w.Server, func() error {
		a, err := OpenARP("eth0", serving.Pause)
		if err != nil {
			return err
		}
		defer a.Close()
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		host, own, nobody := netip.MustParseAddr("10.99.0.100"), netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.7")
		for _, all := range [][]netip.Addr{{host}, {own, host, nobody}} {
			holders, err := a.Holders(ctx, all...)
			if err != nil || len(holders) != 1 || holders[host] == (dhcp.Station{}) {
				t.Errorf("of %v, these are found: %v, %v", all, holders, err)
			}
		}
		stop()
		if holders, _ := a.Holders(ctx, host); len(holders) != 0 {
			t.Error("an answer after the end")
		}
		if len(a.asked) != 0 {
			t.Errorf("%d questions are left", len(a.asked))
		}
		return <-ended
	})
	if err != nil {
		t.Error(err)
	}
}
