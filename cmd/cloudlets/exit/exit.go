// Package exit has the ways in which a verb ends: the exit codes, the errors that have one of
// their own, and the refusals of wrong usage and of what another system than Linux cannot do.
package exit

import "fmt"

// Command is the exit code of a command that ran in an image. This program ends with
// the same code and prints no error of its own.
type Command int

func (c Command) Error() string {
	return fmt.Sprintf("the command ended with exit code %d", int(c))
}

// The exit codes of every verb.
const (
	OK          = 0
	Failed      = 1   // the verb failed; standard error says why
	Usage       = 2   // the command line is wrong
	NoDaemon    = 3   // no daemon answers on the socket
	Interrupted = 130 // ended by a signal
)

// Error is an error with an exit code of its own. [With] makes one.
type Error struct {
	error
	Code int
}

func (c Error) Unwrap() error { return c.error }

// With gives an error an exit code.
func With(err error, code int) error { return Error{err, code} }
