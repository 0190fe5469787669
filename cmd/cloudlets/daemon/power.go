//go:build linux

package daemon

import (
	"context"
	"os"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/power"
	"cloudlets/provision/power/desk"
	"cloudlets/provision/power/drivers"
	"cloudlets/provision/power/wake"
)

// newDesk makes what switches machines.
func (d *Daemon) newDesk() *desk.Desk {
	controllers := drivers.Drivers{Site: d.Site.Dir(), Getenv: os.Getenv, Links: d.wakeLinks}
	return desk.New(desk.Options{
		Open: func(spec *provision.Spec) (power.Controller, error) {
			state, _ := d.tracker.State(spec.MAC)
			return controllers.Open(spec, state.Facts["firmware"])
		},
		OpenConsole: controllers.Console,
		Record: func(ctx context.Context, e provision.Event) {
			if err := d.tracker.Record(ctx, e); err != nil {
				d.Log.Warn("a power event is not in the machine's trace", "machine", e.MAC, "event", e.Text, "error", err)
			}
			d.Log.Info("power", "machine", e.MAC, "event", e.Text, "by", e.By, "reason", e.Reason)
		},
		Stagger: func() time.Duration { return d.Site.Settings().Power.Spacing() },
	})
}

// wakeLinks are the networks on which a machine may be that is woken.
func (d *Daemon) wakeLinks() (links []wake.Link) {
	for _, at := range d.places.now() {
		if at.own.IsValid() {
			links = append(links, wake.Link{Own: at.own, Interface: at.Interface})
		}
	}
	return links
}
