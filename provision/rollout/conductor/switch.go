package conductor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/rollout/book"
)

// turn is one switching of a machine: it is done once for each time that it was armed.
type turn struct {
	armed time.Time
	done  bool
	err   error
}

// switchOn has a machine boot from the network, beside the other work, unless that is being
// done. If the server ends meanwhile, the step still says that it is to be done. What could
// not be noted is noted later, and the machine is not switched again for that.
func (c *Conductor) switchOn(ctx context.Context, name string, spec *provision.Spec, mac provision.MAC, by string, step rollout.Step) {
	c.mu.Lock()
	_, doing := c.switching[mac]
	c.switching[mac] = struct{}{}
	t := c.turns[mac]
	c.mu.Unlock()
	if doing {
		return
	}
	if !t.armed.Equal(step.Armed) {
		t = turn{armed: step.Armed}
	}
	c.done.Go(func() {
		t, err := c.take(ctx, name, spec, mac, by, step, t)
		if err != nil && ctx.Err() == nil {
			c.Log.Error("the switching of a machine of a roll-out is not noted yet", "rollout", name, "machine", mac, "error", err)
			_ = pause.For(ctx, retryAfter) // the store does not answer; at the end nothing is left to do
		}
		c.mu.Lock()
		delete(c.switching, mac)
		if c.turns[mac] = t; err == nil {
			delete(c.turns, mac)
		}
		c.mu.Unlock()
		c.look(mac)
	})
}

// take switches a machine, unless its turn has come already, and notes that. The machine is
// left alone if the store does not say that this server carries the roll-out on.
func (c *Conductor) take(ctx context.Context, name string, spec *provision.Spec, mac provision.MAC, by string, step rollout.Step, t turn) (turn, error) {
	if !t.done {
		if err := c.Book.Note(ctx, name, c.Self, mac, step.Phase, step); err != nil {
			return t, moved(err)
		}
		t.done, t.err = true, errors.New("its file is gone")
		if spec != nil {
			t.err = c.Switch(ctx, spec, by)
		}
		if t.err != nil && ctx.Err() != nil { // the server ends, and another one does it
			return turn{armed: t.armed}, nil
		}
	}
	noting, stop := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer stop()
	return t, moved(c.switched(noting, name, mac, t.err))
}

// noteTime bounds how long a server that ends takes to note what it did.
const noteTime = 10 * time.Second

// moved takes what another server did meanwhile for no error.
func moved(err error) error {
	if errors.Is(err, book.ErrMoved) || errors.Is(err, book.ErrUnknown) {
		return nil
	}
	return err
}

// switched notes that a machine was switched on, or why it could not be.
func (c *Conductor) switched(ctx context.Context, name string, mac provision.MAC, failure error) error {
	var step rollout.Step
	var order rollout.Order
	c.Book.Look(name, func(r *rollout.Rollout) { step, order = r.Step(mac), r.Order })
	if !step.Switch { // it has booted, and was seen to
		return nil
	}
	from := step.Phase
	if step.Switch = false; order.BootWithin != 0 {
		step.Awaited = c.Clock()
	}
	if failure != nil {
		step = step.Failed(fmt.Sprintf("it is armed, and was not switched on: %v; disarm it with `cloudlets install %s --cancel`", failure, mac), c.Clock())
	}
	return c.Book.Note(ctx, name, c.Self, mac, from, step)
}
