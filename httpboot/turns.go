package httpboot

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// maxPlans is how many plans are made at once, for each processor. Each takes
	// some megabytes while it is made, and waits for the sandbox of its templates.
	maxPlans = 4
	// maxClaims is how many claims wait for their turn, for each processor. They
	// are those that get it before their agents ask again, which is after half a
	// minute. When a whole hall is switched on, others are told to ask later.
	maxClaims = 768

	// maxDownloads is how many files are sent at once to machines of the site. Each
	// takes a buffer of 32 KiB. maxQueued is how many downloads wait for that. Others
	// are told to ask later, so that they do not take the connections that short
	// requests need.
	maxDownloads = 256
	maxQueued    = 1024
	// Strangers have a share of their own, so that none of them holds up a machine.
	strangerDownloads = 128
	strangersQueued   = 128
)

// errBusy is the error of a request that should be made again in a moment.
var errBusy = errors.New("too many machines ask for that at once; ask again in a moment")

// turns bound what is done at once, and what waits for it. The zero value is ready
// for use, with the bounds that are given to it first.
type turns struct {
	once    sync.Once
	free    chan struct{} // something is done for each element
	waiting chan struct{} // something waits, or is done, for each element
}

// take waits for one of so many turns, which ends with done. If too many wait, it
// returns errBusy.
func (t *turns) take(ctx context.Context, most, queue int) (done func(), err error) {
	t.bound(most, queue)
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

// full says whether too many wait already. That costs nothing, so whoever has more to
// do before it takes its turn asks first.
func (t *turns) full(most, queue int) bool {
	t.bound(most, queue)
	return len(t.waiting) == cap(t.waiting)
}

// crowded says whether anything waits for its turn.
func (t *turns) crowded(most, queue int) bool {
	t.bound(most, queue)
	return len(t.waiting) > cap(t.free)
}

func (t *turns) bound(most, queue int) {
	t.once.Do(func() { t.free, t.waiting = make(chan struct{}, most), make(chan struct{}, most+queue) })
}

// Busy says whether machines wait for their turn. What has time gives way to them then.
func (c *Chain) Busy() bool {
	return c.claims.crowded(claimBounds()) || c.downloads.crowded(maxDownloads, maxQueued)
}

// pace lets so many things happen in a second, and no more. The zero value is ready for
// use.
type pace struct {
	mu     sync.Mutex
	second int64
	taken  int
}

// take says whether one more may happen now.
func (p *pace) take(now time.Time, most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if second := now.Unix(); second != p.second {
		p.second, p.taken = second, 0
	}
	p.taken++
	return p.taken <= most
}
