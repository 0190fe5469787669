package httpboot

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

const (
	// maxPlans is how many plans are made at once, for each processor. Each takes
	// some megabytes while it is made.
	maxPlans = 4
	// maxWaiting is how many claims wait for their turn, for each processor. They
	// are those that get it before their agents ask again, which is after half a
	// minute. When a whole hall is switched on, others are told to ask later.
	maxWaiting = 128
)

// errBusy is the error of a claim that should be made again in a moment.
var errBusy = errors.New("too many machines claim their plans at once; ask again in a moment")

// turns bound the plans that are made at once. The zero value is ready.
type turns struct {
	once    sync.Once
	free    chan struct{} // a plan is made for each element
	waiting chan struct{} // a claim waits, or its plan is made, for each element
}

// take waits for a turn, which ends with done. If too many wait, it returns
// errBusy.
func (t *turns) take(ctx context.Context) (done func(), err error) {
	t.once.Do(func() {
		processors := runtime.GOMAXPROCS(0)
		t.free, t.waiting = make(chan struct{}, maxPlans*processors), make(chan struct{}, maxWaiting*processors)
	})
	select {
	case t.waiting <- struct{}{}:
	default:
		return nil, errBusy
	}
	select {
	case t.free <- struct{}{}:
		return func() { <-t.free; <-t.waiting }, nil
	case <-ctx.Done():
		<-t.waiting
		return nil, ctx.Err()
	}
}
