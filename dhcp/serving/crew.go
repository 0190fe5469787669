package serving

import (
	"sync"
	"sync/atomic"
)

// maxIdle is how many goroutines of a crew wait for work.
const maxIdle = 256

// Crew handles the rest of packets, each in a goroutine, as it may wait. Goroutines
// that have ended their work take the next one: a new goroutine would first grow its
// stack, which costs a tenth of what a packet does.
type Crew struct {
	limit   int32
	size    atomic.Int32 // goroutines
	waiting atomic.Int32 // those that wait for work
	idle    chan func()
	all     sync.WaitGroup
}

// NewCrew makes a crew that handles at most limit packets at once. Its end must be
// called.
func NewCrew(limit int32) *Crew { return &Crew{limit: limit, idle: make(chan func())} }

// Try has a goroutine do some work. It returns false if too many work already. It must
// not be called beside end, or after it.
func (c *Crew) Try(work func()) bool {
	select {
	case c.idle <- work:
		return true
	default:
	}
	if c.size.Add(1) > c.limit {
		c.size.Add(-1)
		return false
	}
	c.all.Go(func() { c.run(work) })
	return true
}

func (c *Crew) run(work func()) {
	defer c.size.Add(-1)
	for open := true; open; {
		work()
		if c.waiting.Add(1) <= maxIdle {
			work, open = <-c.idle
		} else {
			open = false
		}
		c.waiting.Add(-1)
	}
}

// End returns when all work is done.
func (c *Crew) End() {
	close(c.idle)
	c.all.Wait()
}
