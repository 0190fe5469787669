package conductor

import (
	"context"
	"errors"
	"fmt"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/rollout/book"
)

// switchOn has a machine boot from the network, beside the other work, unless that is being
// done. If the server ends meanwhile, the step still says that it is to be done.
func (c *Conductor) switchOn(ctx context.Context, name string, spec *provision.Spec, mac provision.MAC, by string) {
	c.mu.Lock()
	_, doing := c.switching[mac]
	c.switching[mac] = struct{}{}
	c.mu.Unlock()
	if doing {
		return
	}
	c.done.Go(func() {
		err := errors.New("its file is gone")
		if spec != nil {
			err = c.Switch(ctx, spec, by)
		}
		if ctx.Err() == nil {
			c.switched(ctx, name, mac, err)
		}
		c.mu.Lock()
		delete(c.switching, mac)
		c.mu.Unlock()
		c.look(mac)
	})
}

// switched notes that a machine was switched on, or why it could not be.
func (c *Conductor) switched(ctx context.Context, name string, mac provision.MAC, failure error) {
	var step rollout.Step
	c.Book.Look(name, func(r *rollout.Rollout) { step = r.Step(mac) })
	if !step.Switch { // it has booted, and was seen to
		return
	}
	from := step.Phase
	step.Switch = false
	if failure != nil {
		step = step.Failed(fmt.Sprintf("it is armed, and was not switched on: %v; disarm it with `cloudlets install %s --cancel`", failure, mac), c.Clock())
	}
	if err := c.Book.Note(ctx, name, c.Self, mac, from, step); err != nil && !errors.Is(err, book.ErrMoved) {
		c.Log.Error("a machine of a roll-out was switched, and may be once more", "rollout", name, "machine", mac, "error", err)
	}
}
