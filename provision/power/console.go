package power

import (
	"context"
	"io"
)

// Console is a way to a machine's console.
type Console interface {
	// Join connects with the console, calls ready, and then carries what the person
	// types to the console, and what the console shows to the person. It returns nil
	// when the person leaves, that is at the end of what ready returned to read, and an
	// error if the console ends badly. If it cannot connect, it does not call ready.
	//
	// A read of what the person types may still wait when Join has returned: the caller
	// ends it.
	Join(ctx context.Context, ready func() (io.Reader, io.Writer, error)) error
}
