//go:build linux

package daemon

import (
	"context"
	"errors"
	"slices"

	"cloudlets/provision"
	"cloudlets/provision/power/desk"
	"cloudlets/provision/rollout/conductor"
	"cloudlets/web"
)

// newConductor makes what carries roll-outs on.
func (d *Daemon) newConductor() *conductor.Conductor {
	return conductor.New(conductor.Options{
		Book: d.rollouts, Tracker: d.tracker, Self: d.members.Self().ID, ServersChanged: d.members.Changed,
		Alive: func(id string) bool {
			_, live := d.members.IDs()
			return slices.Contains(live, id)
		},
		Spec: func(mac provision.MAC) *provision.Spec {
			spec, ok := d.Site.Spec(mac)
			if !ok {
				return nil
			}
			return &spec
		},
		Refusal: d.reviews.Refusal,
		Pack:    func(ctx context.Context, spec *provision.Spec) string { return web.PackNow(ctx, d.depot, spec) },
		Switch:  d.bootInstaller,
		Log:     d.Log,
	})
}

// bootInstaller has a machine that was armed boot from the network, and waits until it was
// switched.
func (d *Daemon) bootInstaller(ctx context.Context, spec *provision.Spec, by string) error {
	job, err := d.power.Order(spec, desk.ForInstall(spec.Power, by))
	if err != nil {
		return err
	}
	ended, known := d.power.Wait(ctx, spec.MAC, job.ID)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case known && ended.Error != "":
		return errors.New(ended.Error)
	}
	return nil
}
