//go:build !long

package bed_test

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// alongside is [testing.T.Parallel] for a test that boots machines. Package testing begins
// parallel tests in any order, so that the longest may begin last, and run alone. Here the
// longest begins first. cost is about how many seconds of a processor the machines of a test
// take, as it logs them, or those of a clock if they mostly wait. As many tests run at once
// as -parallel says. A test that calls T.Parallel itself is held back by nobody.
func alongside(t *testing.T, cost int) {
	t.Helper()
	mine := queue.announce(cost)
	t.Parallel()
	queue.wait(mine)
	t.Cleanup(queue.leave) // runs last, when the test's machines are off
}

// queue is that of this package's tests.
var queue turns

// turns lets tests begin in the order of their cost.
type turns struct {
	mu      sync.Mutex
	free    int // how many more may begin
	waiting []*turn
}

// turn is one test's.
type turn struct {
	cost  int
	ready bool          // the test waits
	come  chan struct{} // closed when it may begin
}

// openQueue takes -parallel over, so that package testing holds back no test.
func openQueue() error {
	flag.Parse()
	parallel := flag.Lookup("test.parallel").Value
	n, err := strconv.Atoi(parallel.String())
	if err != nil {
		return fmt.Errorf("read -parallel: %w", err)
	}
	queue.free = n
	return parallel.Set("1000")
}

// announce says that a test will wait. All do so before the first waits, as T.Parallel
// returns when all tests were started.
func (q *turns) announce(cost int) *turn {
	q.mu.Lock()
	defer q.mu.Unlock()
	mine := &turn{cost: cost, come: make(chan struct{})}
	q.waiting = append(q.waiting, mine)
	slices.SortStableFunc(q.waiting, func(a, b *turn) int { return b.cost - a.cost })
	return mine
}

// wait waits for a test's turn.
func (q *turns) wait(mine *turn) {
	q.mu.Lock()
	mine.ready = true
	q.next()
	q.mu.Unlock()
	<-mine.come
}

// leave ends a test's turn.
func (q *turns) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.free++
	q.next()
}

// next lets tests begin while there is room. It passes over none that is still to come.
func (q *turns) next() {
	for q.free > 0 && len(q.waiting) > 0 && q.waiting[0].ready {
		close(q.waiting[0].come)
		q.waiting = q.waiting[1:]
		q.free--
	}
}
