//go:build linux

package daemon

import (
	"log/slog"
	"testing"

	"cloudlets/provision/site"
)

// TestRouterAdvertisementOff: the setting leaves router solicitations without an
// answer, and so does a server that sees no DHCP.
func TestRouterAdvertisementOff(t *testing.T) {
	for name, c := range map[string]struct {
		settings site.Settings
		want     bool
	}{
		"as the network's server": {site.Settings{}, true},
		"as a proxy":              {site.Settings{DHCP: site.DHCPService{Proxy: true}}, true},
		"switched off":            {site.Settings{RouterAdvertisementOff: true}, false},
		"without DHCP":            {site.Settings{DHCP: site.DHCPService{Off: true}}, false},
	} {
		d := &Daemon{Config: Config{Settings: c.settings, Log: slog.New(slog.DiscardHandler)}}
		s, err := d.listenSolicitations(t.Context())
		if err != nil || (s != nil) != c.want || (d.advertiser != nil) != c.want {
			t.Errorf("%s: a task %t (error %v), want %t", name, s != nil, err, c.want)
		}
	}
}
