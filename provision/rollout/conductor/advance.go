package conductor

import (
	"context"
	"errors"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
)

// advance does what the rules say that a roll-out needs now. It arms one machine at most:
// what became of others meanwhile counts before the next one, and other roll-outs go on.
func (c *Conductor) advance(ctx context.Context, name string) error {
	var move rollout.Move
	var phase rollout.Phase
	var order rollout.Order
	c.Book.Look(name, func(r *rollout.Rollout) { move, phase, order = r.Next(), r.Phase, r.Order })
	switch {
	case move.Phase != "":
		c.Log.Info("a roll-out is "+string(move.Phase), "rollout", name, "reason", move.Why)
		return c.Book.Become(ctx, name, c.Self, phase, move, c.Clock())
	case len(move.Arm) == 0:
		return nil
	}
	c.look() // there is more to do
	return c.arm(ctx, order, move.Arm[0])
}

// arm arms a machine and notes that, in one transaction. A machine that cannot be armed is
// bad.
func (c *Conductor) arm(ctx context.Context, o rollout.Order, mac provision.MAC) error {
	spec := c.Spec(mac)
	refused := c.Refusal(mac)
	if refused == nil && o.Power && spec != nil && spec.Power.Kind() == "" {
		refused = errors.New("it cannot be switched: its file has no \"power\"")
	}
	if refused == nil {
		step := rollout.Step{Phase: rollout.Armed, Armed: c.Clock(), Switch: o.Power}
		if o.BootWithin != 0 && !o.Power {
			step.Awaited = step.Armed
		}
		err := c.Tracker.Arm(ctx, mac, spec, track.Order{
			By: o.By + ", by the roll-out " + o.Name, Wipe: o.Wipe, Confirm: o.Confirm, Pack: c.Pack(ctx, spec),
			With: func(tx store.Tx) error {
				return c.Book.Record(tx, o.Name, c.Self, mac, rollout.Waiting, step)
			},
		})
		if !errors.Is(err, provision.ErrNotInstallable) && !errors.Is(err, provision.ErrDiskNotEmpty) {
			c.look(mac) // it may be armed whatever the error, and have to be switched on
			return err
		}
		refused = err
	}
	return c.Book.Note(ctx, o.Name, c.Self, mac, rollout.Waiting, rollout.Step{}.Failed("it was not armed: "+refused.Error(), c.Clock()))
}
