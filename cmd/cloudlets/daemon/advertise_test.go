//go:build linux

package daemon

import (
	"log/slog"
	"testing"

	"cloudlets/provision/site/keys"
)

// TestRouterAdvertisementOff: the setting leaves router solicitations without an
// answer, and so does a server that sees no DHCP.
func TestRouterAdvertisementOff(t *testing.T) {
	settings := func(off bool, service keys.DHCPService) keys.Settings {
		return keys.Settings{RouterAdvertisementOff: off, Network: keys.Network{Interface: "eth1", DHCP: service}}
	}
	for name, c := range map[string]struct {
		settings keys.Settings
		want     bool
	}{
		"as the network's server": {settings(false, keys.DHCPService{}), true},
		"as a proxy":              {settings(false, keys.DHCPService{Proxy: true}), true},
		"switched off":            {settings(true, keys.DHCPService{}), false},
		"without DHCP":            {settings(false, keys.DHCPService{Off: true}), false},
	} {
		d := &Daemon{Config: Config{Settings: c.settings, Log: slog.New(slog.DiscardHandler)}}
		s, err := d.listenSolicitations(t.Context())
		if err != nil || (s != nil) != c.want || (d.advertisers != nil) != c.want {
			t.Errorf("%s: a task %t (error %v), want %t", name, s != nil, err, c.want)
		}
	}
}
