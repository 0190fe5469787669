// Package power has the nouns of switching machines on and off from afar: a
// [Controller] is what can do it for one machine, an [Action] what it does, a
// [State] what it sees. Packages redfish, ipmi, wake and command are one way
// each to reach a controller, and know no machines. Package drivers makes the controller
// that a machine's file names, and package desk decides what is done when.
package power

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Action is something that a controller does to a machine.
type Action string

// The actions.
const (
	On Action = "on"
	// Off takes the power away at once. Whatever runs there is lost.
	Off Action = "off"
	// Shutdown asks the operating system to shut down, as the power button does. It
	// returns before that is done.
	Shutdown Action = "shutdown"
	// Cycle takes the power away, and gives it back after a pause.
	Cycle Action = "cycle"
	// Reset restarts the machine at once, and leaves the power on.
	Reset Action = "reset"
	// BootNetwork makes the machine's next boot, and no other, one from the network.
	BootNetwork Action = "boot-network"
)

// State is whether a machine has power.
type State string

// The states.
const (
	IsOn    State = "on"
	IsOff   State = "off"
	Unknown State = "unknown" // it changes just now, or the controller cannot tell
)

// Controller switches one machine. Its methods end when their context does. It is
// used by one goroutine at a time.
type Controller interface {
	// State returns whether the machine has power. A controller that cannot tell
	// returns [Unknown], and no error.
	State(ctx context.Context) (State, error)
	// Do does one action. The error is one of [ErrUnsupported] if the controller
	// can never do it.
	Do(ctx context.Context, action Action) error
}

// ErrUnsupported is the error of an action that a controller can never do.
var ErrUnsupported = errors.New("the controller cannot do that")

// Unsupported returns an error that says which action a controller cannot do, and
// what a person may do instead.
func Unsupported(action Action, advice string) error {
	return fmt.Errorf("%w: %s: %s", ErrUnsupported, action, advice)
}

// Actions are the actions that a person may order, for usage texts and checks.
func Actions() []Action { return []Action{On, Off, Cycle, Reset} }

// ParseAction reads an action that a person may order.
func ParseAction(text string) (Action, error) {
	if a := Action(text); slices.Contains(Actions(), a) {
		return a, nil
	}
	return "", fmt.Errorf("%q is not a power action: want on, off, cycle or reset", text)
}

// ParseState reads a state as programs print it: the first word, in any case.
func ParseState(text string) State {
	word, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	switch s := State(strings.ToLower(strings.TrimSpace(word))); s {
	case IsOn, IsOff:
		return s
	}
	return Unknown
}
