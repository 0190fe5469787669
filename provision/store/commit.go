package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"go.etcd.io/bbolt"
)

// maxChanges is how many changes a write has before no further transaction joins it.
// Whoever comes while a write runs waits for its end and for the next one, so that
// no write may become long: the events of a hall that is switched on are thousands
// of changes.
const maxChanges = 512

// update is an Update of a [File] that waits to be written.
type update struct {
	ctx    context.Context
	write  func(Tx) error
	urgent bool
	// turn is true if it is the turn of who waits to write for all who wait, and
	// false if another one has done it.
	turn     chan bool
	changes  []Change
	err      error
	panicked any
}

// queue has the updates that wait, in two lists in the order in which they came.
type queue struct{ urgent, others []*update }

func (q *queue) add(u *update) {
	if u.urgent {
		q.urgent = append(q.urgent, u)
	} else {
		q.others = append(q.others, u)
	}
}

// take removes all. putBack returns those that had no room in a write to where they
// were.
func (q *queue) take() (all queue) {
	all, *q = *q, queue{}
	return all
}

func (q *queue) putBack(left queue) {
	q.urgent = slices.Concat(left.urgent, q.urgent)
	q.others = slices.Concat(left.others, q.others)
}

// first is whose turn it is next, or nil. Each write has room for it.
func (q *queue) first() *update {
	for _, list := range [][]*update{q.urgent, q.others} {
		if len(list) > 0 {
			return list[0]
		}
	}
	return nil
}

// without is a queue without one of its updates.
func (q queue) without(u *update) queue {
	other := func(list []*update) []*update {
		return slices.DeleteFunc(slices.Clone(list), func(v *update) bool { return u == v })
	}
	return queue{other(q.urgent), other(q.others)}
}

// writeBatch writes transactions that wait, the caller's among them, and passes the
// turn on.
func (s *File) writeBatch(own *update) {
	s.mu.Lock()
	batch := s.waiting.take()
	s.mu.Unlock()
	s.committing.Lock()
	ended, left := s.commit(batch)
	s.release()
	s.committing.Unlock()
	for _, u := range ended {
		if u != own {
			u.turn <- false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.putBack(left)
	next := s.waiting.first()
	if s.writing = next != nil; s.writing {
		next.turn <- true
	}
}

// errAlone says that one of several transactions failed, so that none of them is
// written.
var errAlone = errors.New("a transaction fails")

// run runs the function of an update. It returns false if that fails.
func (u *update) run(tx *bbolt.Tx) (ok bool) {
	u.changes, u.err = nil, nil
	if u.err = u.ctx.Err(); u.err != nil {
		return false
	}
	defer func() {
		if v := recover(); v != nil {
			u.panicked, ok = fmt.Sprintf("%v in a transaction of the store\n%s", v, debug.Stack()), false
		}
	}()
	u.err = u.write(boltTx{tx, &u.changes})
	return u.err == nil
}

// commit writes transactions, in order, and returns those that have ended and those
// for which there was no room. One that fails is taken out, and the others
// run again; it then runs alone, so that what it says does not depend on a change
// that was never written. The caller holds committing.
func (s *File) commit(batch queue) (ended []*update, left queue) {
	var alone []*update
	for batch.first() != nil {
		attempt, failed, err := s.write(batch)
		if failed == nil {
			s.finish(attempt.ran, err)
			ended, left = append(ended, attempt.ran...), attempt.left
			break
		}
		batch = batch.without(failed)
		if len(attempt.ran) == 1 || failed.panicked != nil {
			ended = append(ended, failed) // it saw no change of another one, or must not run again
		} else {
			alone = append(alone, failed)
		}
	}
	for _, u := range alone {
		if _, failed, err := s.write(queue{others: []*update{u}}); failed == nil {
			s.finish([]*update{u}, err)
		}
	}
	return append(ended, alone...), left
}

// attempt is one try to write transactions: those that ran, in order, and those for
// which there was no room.
type attempt struct {
	ran     []*update
	left    queue
	changes int
}

// write runs transactions as one: urgent ones first, until there are maxChanges. The
// first of either list always has room, so that neither list waits for the other's
// end. It returns the first that fails, if any, and then nothing is written.
func (s *File) write(batch queue) (a attempt, failed *update, err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error {
		for _, list := range []struct {
			from []*update
			left *[]*update
		}{{batch.urgent, &a.left.urgent}, {batch.others, &a.left.others}} {
			for i, u := range list.from {
				if i > 0 && a.changes >= maxChanges {
					*list.left = list.from[i:]
					break
				}
				a.ran = append(a.ran, u)
				if !u.run(tx) {
					failed = u
					return errAlone
				}
				a.changes += len(u.changes)
			}
		}
		return nil
	})
	return a, failed, err
}

// finish tells the followers of what was written. err is why nothing was.
func (s *File) finish(batch []*update, err error) {
	s.followers.Lock()
	defer s.followers.Unlock()
	for _, u := range batch {
		if u.err = err; err == nil {
			s.followers.Tell(u.changes)
		}
	}
}
