package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"go.etcd.io/bbolt"
)

// maxBatch is how many transactions may share one write.
const maxBatch = 1024

// update is an Update of a [File] that waits to be written.
type update struct {
	ctx   context.Context
	write func(Tx) error
	// turn is true if it is the turn of who waits to write for all who wait, and
	// false if another one has done it.
	turn     chan bool
	changes  []Change
	err      error
	panicked any
}

// writeBatch writes the transactions that wait, the first of which is the
// caller's, and passes the turn on.
func (s *File) writeBatch() {
	s.mu.Lock()
	batch := s.waiting[:min(len(s.waiting), maxBatch)]
	s.waiting = s.waiting[len(batch):]
	s.mu.Unlock()
	s.committing.Lock()
	s.commit(batch)
	s.committing.Unlock()
	for _, u := range batch[1:] {
		u.turn <- false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing = len(s.waiting) > 0; s.writing {
		s.waiting[0].turn <- true
	} else {
		s.waiting = nil // so that the array does not grow for ever
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

// commit writes transactions, in order. One that fails is taken out, and the others
// run again; it then runs alone, so that what it says does not depend on a change
// that was never written. The caller holds committing.
func (s *File) commit(batch []*update) {
	var alone []*update
	for len(batch) > 0 {
		failed, err := s.write(batch)
		if failed == nil {
			s.finish(batch, err)
			break
		}
		if len(batch) == 1 && len(alone) == 0 {
			return // it was alone
		}
		batch = slices.DeleteFunc(slices.Clone(batch), func(u *update) bool { return u == failed })
		alone = append(alone, failed)
	}
	for _, u := range alone {
		if u.panicked != nil {
			continue
		}
		if failed, err := s.write([]*update{u}); failed == nil {
			s.finish([]*update{u}, err)
		}
	}
}

// write runs transactions as one. It returns the first that fails, if any, and then
// nothing is written.
func (s *File) write(batch []*update) (failed *update, err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error {
		for _, u := range batch {
			if !u.run(tx) {
				failed = u
				return errAlone
			}
		}
		return nil
	})
	return failed, err
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
