// Package rollout has the rules by which the machines of a fleet are installed in waves.
// A [Rollout] is what a person ordered, and how far each machine has come: a fold over
// [Step]s. [Rollout.Next] says what follows from it. The package is pure; package book
// keeps roll-outs, and package conductor carries them on.
//
// Start reading at [Rollout].
package rollout

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"cloudlets/provision"
)

// Bounds.
const (
	// MaxMachines is how many machines a roll-out may have.
	MaxMachines = 10_000
	// MaxAtATime is how many machines a wave may have.
	MaxAtATime = 500
	// MaxKept is how many roll-outs are kept. Of more, those that ended go, the oldest first.
	MaxKept = 50
	// MinBootWithin and MaxBootWithin bound [Order.BootWithin]. Some firmware takes a
	// quarter of an hour until it asks the network.
	MinBootWithin, MaxBootWithin = time.Minute, 30 * 24 * time.Hour
	// maxWhy bounds the reasons that are kept of each machine, in bytes.
	maxWhy = 400
)

// Order is what a person ordered. It never changes.
type Order struct {
	// Name is unique among the roll-outs of a store, "r12".
	Name string    `json:"name"`
	By   string    `json:"by"`
	Time time.Time `json:"time"`
	// Machines are in the order in which they take their turns.
	Machines []provision.MAC `json:"machines"`
	// AtATime is how many machines a wave has at most, 1 to [MaxAtATime].
	AtATime int `json:"atATime"`
	// StopAfter is after how many bad machines no further one is armed, 1 or more.
	StopAfter int `json:"stopAfter"`
	// Wipe and Confirm are of each install, see [provision.Event]. Power has each machine
	// boot from the network when its turn comes.
	Wipe    bool `json:"wipe,omitempty"`
	Confirm bool `json:"confirm,omitempty"`
	Power   bool `json:"power,omitempty"`
	// BootWithin is how long a machine may take until it has booted from the network,
	// [MinBootWithin] to [MaxBootWithin], after it was armed, or switched on where Power
	// says so; after that it is bad. 0 is no bound.
	BootWithin time.Duration `json:"bootWithin,omitempty"`
}

// ErrOrder says that an order makes no sense. The error that wraps it says why.
var ErrOrder = errors.New("the roll-out cannot be begun")

// Span writes a time as a person does, "30m" and not "30m0s".
func Span(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if short := strings.TrimSuffix(text, zero); strings.HasSuffix(short, "h") || strings.HasSuffix(short, "m") {
			text = short
		}
	}
	return text
}

// Check returns an [ErrOrder] if an order is out of bounds, or names a machine twice.
func (o Order) Check() error {
	switch {
	case len(o.Machines) == 0:
		return fmt.Errorf("%w: it has no machines; name some, or select them with --outdated, --profile, --image or --tag", ErrOrder)
	case len(o.Machines) > MaxMachines:
		return fmt.Errorf("%w: %d machines are too many; select at most %d", ErrOrder, len(o.Machines), MaxMachines)
	case o.AtATime < 1 || o.AtATime > MaxAtATime:
		return fmt.Errorf("%w: waves of %d machines are not possible; want 1 to %d at a time", ErrOrder, o.AtATime, MaxAtATime)
	case o.StopAfter < 1 || o.StopAfter > MaxMachines:
		return fmt.Errorf("%w: to stop after %d bad machines is not possible; want 1 to %d", ErrOrder, o.StopAfter, MaxMachines)
	case o.BootWithin != 0 && (o.BootWithin < MinBootWithin || o.BootWithin > MaxBootWithin):
		return fmt.Errorf("%w: %s is no time for a machine to boot; want %s to %s, or 0 for any time", ErrOrder, Span(o.BootWithin), Span(MinBootWithin), Span(MaxBootWithin))
	}
	seen := make(map[provision.MAC]struct{}, len(o.Machines))
	for _, mac := range o.Machines {
		if _, twice := seen[mac]; twice {
			return fmt.Errorf("%w: %s is in it twice; leave one out", ErrOrder, mac)
		}
		seen[mac] = struct{}{}
	}
	return nil
}

// Wave is the wave of the machine with an index, counted from 1.
func (o Order) Wave(index int) int { return index/o.AtATime + 1 }

// Waves is how many waves there are.
func (o Order) Waves() int { return o.Wave(len(o.Machines) - 1) }

// Phase is how far a roll-out, or a machine in it, has come.
type Phase string

// The phases of a roll-out.
const (
	Running Phase = "running" // machines are armed as their turns come
	Stopped Phase = "stopped" // no further machine is armed until a person resumes it
	Ended   Phase = "ended"   // each machine is good or bad
)

// The phases of a machine.
const (
	Waiting Phase = "waiting" // its turn has not come
	Armed   Phase = "armed"   // its install is armed, or under way
	Good    Phase = "good"    // see [provision.OutcomeGood]
	Bad     Phase = "bad"     // see [provision.OutcomeBad]; or it could not be armed
)

// Step is how far one machine has come. The zero value waits.
type Step struct {
	Phase Phase `json:"phase"`
	// Armed is when its install was armed, by the clock of the server that did that.
	Armed time.Time `json:"armed,omitzero"`
	// Switch says that it has still to be switched on, or off and on.
	Switch bool `json:"switch,omitempty"`
	// Awaited is since when it should boot from the network: since it was armed, or switched
	// on. It is zero once it has booted, and where any time is right.
	Awaited time.Time `json:"awaited,omitzero"`
	// Why says why it is bad.
	Why string `json:"why,omitempty"`
	// Time is when it became good or bad.
	Time time.Time `json:"time,omitzero"`
}

// Failed is the step of a machine that became bad at a time.
func (s Step) Failed(why string, now time.Time) Step {
	s.Phase, s.Switch, s.Awaited, s.Why, s.Time = Bad, false, time.Time{}, provision.Cut(why, maxWhy), now
	return s
}

// Status is what changes of a roll-out as a whole.
type Status struct {
	Phase Phase `json:"phase"`
	// Why says why it was stopped, and Since when the phase began.
	Why   string    `json:"why,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// Forgiven are bad machines that do not count, since a person resumed the roll-out
	// after they were.
	Forgiven int `json:"forgiven,omitempty"`
	// Carrier is the ID of the server that carries it on.
	Carrier string `json:"carrier,omitempty"`
}
