// Package turns bounds what is done at once and what waits for it, and how often something
// happens. It does not know what that is.
package turns

import (
	"context"
	"errors"
	"sync"
)

// ErrBusy is the error of a request that should be made again in a moment.
var ErrBusy = errors.New("too many machines ask for that at once; ask again in a moment")

// Turns bound what is done at once, and what waits for it. The zero value is ready
// for use, with the bounds that are given to it first.
type Turns struct {
	once    sync.Once
	free    chan struct{} // something is done for each element
	waiting chan struct{} // something waits, or is done, for each element
}

// Take waits for one of so many turns, which ends with done. If too many wait, it
// returns [ErrBusy].
func (t *Turns) Take(ctx context.Context, most, queue int) (done func(), err error) {
	t.bound(most, queue)
	select {
	case t.waiting <- struct{}{}:
	default:
		return nil, ErrBusy
	}
	select {
	case t.free <- struct{}{}:
		return func() { <-t.free; <-t.waiting }, nil
	case <-ctx.Done():
		<-t.waiting
		return nil, ctx.Err()
	}
}

// Full says whether too many wait already. That costs nothing, so whoever has more to
// do before it takes its turn asks first.
func (t *Turns) Full(most, queue int) bool {
	t.bound(most, queue)
	return len(t.waiting) == cap(t.waiting)
}

// Crowded says whether anything waits for its turn.
func (t *Turns) Crowded(most, queue int) bool {
	t.bound(most, queue)
	return len(t.waiting) > cap(t.free)
}

func (t *Turns) bound(most, queue int) {
	t.once.Do(func() { t.free, t.waiting = make(chan struct{}, most), make(chan struct{}, most+queue) })
}
