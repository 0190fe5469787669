//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/wire"
	"cloudlets/web/roster"
)

// inspectPause is how long the agent on a stranger waits before it asks again. The real
// one begins with as much, and takes its time then.
const inspectPause = 3 * time.Second

// inspect tells the server what is in a stranger, again and again, until it may start
// anew. Its switch says where it is only after the first time.
func (m *machine) inspect(ctx context.Context, from netip.Addr, params wire.Params) error {
	a, close, err := m.newAgent(from, params)
	if err != nil {
		return err
	}
	defer close()
	began := time.Now()
	for tells := 0; ; tells++ {
		found := provision.Inspection{
			Inventory: m.inventory(), CPU: "simulated", Firmware: provision.Firmware{Kind: "bios", Vendor: vendor}, Listening: tells == 0,
		}
		if m.firmware != bios {
			found.Firmware.Kind = "uefi"
		}
		card := provision.InterfaceInfo{Name: "eth0", MAC: m.mac.String()}
		if !found.Listening {
			card.Switch, card.Port = rackSwitch, fmt.Sprint("Ethernet1/", m.number)
		}
		found.Interfaces = []provision.InterfaceInfo{card}
		text, err := a.server.Post(ctx, wire.InspectPath, wire.InspectRequest{Token: params.Token, MAC: params.MAC, Inspection: found})
		if err != nil {
			return fmt.Errorf("tell what was found: %w", err)
		}
		var answer wire.InspectAnswer
		if err := json.Unmarshal(text, &answer); err != nil {
			return fmt.Errorf("tell what was found: %w", err)
		}
		if answer.Restart != "" {
			m.notes.took("inspected to approved", time.Since(began))
			return nil
		}
		if err := pause.For(ctx, inspectPause); err != nil {
			return err
		}
	}
}

// stranger is what became of a machine that no file described.
type stranger struct {
	MAC      provision.MAC `json:"mac"`
	Name     string        `json:"name"`
	Address  string        `json:"address"`
	Installs int           `json:"installs"`
}

// rackName is what the rule's pattern makes.
var rackName = regexp.MustCompile("^" + strings.ReplaceAll(rackNames, "{n}", "[1-9][0-9]*") + "$")

// addStrangers asks the daemon what became of the strangers.
func (r *result) addStrangers(ctx context.Context, o *options, b *bed) error {
	if o.Strangers == 0 {
		return nil
	}
	table, err := b.servers[0].client.Machines(ctx, roster.Query{Profile: rackProfile}, "address", "installs")
	if err != nil {
		return err
	}
	for _, m := range table {
		r.strangers = append(r.strangers, stranger{m.MAC, m.Hostname, m.Address, m.Installs})
	}
	return nil
}

// checkStrangers says whether all strangers became machines of the rack, with a name and
// an address of their own, and were installed once.
func checkStrangers(all []stranger, want int) error {
	if len(all) != want {
		return fmt.Errorf("%d of %d strangers became machines of the profile %s", len(all), want, rackProfile)
	}
	by := make(map[string]provision.MAC)
	for _, s := range all {
		if !rackName.MatchString(s.Name) {
			return fmt.Errorf("%s is called %q, which the rule's %q does not make", s.MAC, s.Name, rackNames)
		}
		if s.Address == "" || s.Installs != 1 {
			return fmt.Errorf("%s (%s) has the address %q and was installed %d times, want once", s.Name, s.MAC, s.Address, s.Installs)
		}
		for _, own := range []string{s.Name, s.Address} {
			if other, twice := by[own]; twice {
				return fmt.Errorf("%s and %s both have %s", other, s.MAC, own)
			}
			by[own] = s.MAC
		}
	}
	return nil
}
