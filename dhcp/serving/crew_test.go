package serving

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestCrew: as much work as may be is done at once, no more is taken, all of it is done
// before the end returns, and goroutines are used again.
func TestCrew(t *testing.T) {
	const limit = 3
	c := NewCrew(limit)
	for range 100 {
		var begun sync.WaitGroup
		release := make(chan struct{})
		for range limit {
			begun.Add(1)
			for !c.Try(func() { begun.Done(); <-release }) { // until one of the last round can take it
			}
		}
		begun.Wait()
		if c.Try(func() {}) {
			t.Error("more is taken than may be")
		}
		close(release)
	}
	if n := c.size.Load(); n > limit {
		t.Errorf("there are %d goroutines", n)
	}
	var done atomic.Bool
	for !c.Try(func() { done.Store(true) }) {
	}
	if c.End(); !done.Load() || c.size.Load() != 0 || c.waiting.Load() != 0 {
		t.Errorf("after the end: done %v, %d goroutines, %d of them wait", done.Load(), c.size.Load(), c.waiting.Load())
	}
}
