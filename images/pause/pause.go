// Package pause waits for a time that the end of a context cuts short.
package pause

import (
	"context"
	"time"
)

// For returns nil after d, or the error of ctx as soon as ctx ends. A d that is not
// positive has passed already. If ctx has ended too, its error counts, so that a loop
// which is late ends.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return ctx.Err()
}
