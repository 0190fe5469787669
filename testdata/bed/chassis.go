package bed

import (
	"context"
	"errors"
	"sync"
)

// Chassis is a machine as its management controller has it: it has current, and is
// switched on and off, many times.
type Chassis struct {
	ctx     context.Context
	network *Network
	dir     string
	spec    Spec

	mu      sync.Mutex
	machine *Machine // the latest; nil before the first
	starts  chan *Machine
}

// NewChassis makes a machine that is off. Its context ends no machine: Off does.
func NewChassis(ctx context.Context, n *Network, dir string, spec Spec) *Chassis {
	return &Chassis{ctx: ctx, network: n, dir: dir, spec: spec, starts: make(chan *Machine, 16)}
}

// Starts receives the machine each time it is switched on.
func (c *Chassis) Starts() <-chan *Machine { return c.starts }

// IsOn says whether the machine is on. It may have switched itself off.
func (c *Chassis) IsOn() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isOn()
}

func (c *Chassis) isOn() bool {
	if c.machine == nil {
		return false
	}
	select {
	case <-c.machine.Done():
		return false
	default:
		return true
	}
}

// On switches the machine on, if it is off. Network says that its firmware tries the
// network first this time, until the machine is switched off.
func (c *Chassis) On(network bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isOn() {
		return nil
	}
	spec := c.spec
	spec.DisksFirst = !network
	m, err := Start(c.ctx, c.network, c.dir, spec)
	if err != nil {
		return err
	}
	c.machine = m
	select {
	case c.starts <- m:
		return nil
	default:
		m.Stop()
		return errors.New("nobody looks at the machine's starts")
	}
}

// Off takes the machine's current away.
func (c *Chassis) Off() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.machine != nil {
		c.machine.Kill()
	}
}
