package store

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// maxBatch is how many transactions may share one write.
const maxBatch = 256

// update is an Update of a [File] that waits to be written.
type update struct {
	ctx      context.Context
	write    func(Tx) error
	changes  []Change
	done     bool
	err      error
	panicked any
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
		var rest []*update
		for _, u := range batch {
			if u != failed {
				rest = append(rest, u)
			}
		}
		if batch = rest; len(rest) == 0 && len(alone) == 0 {
			s.finish([]*update{failed}, nil) // it was alone
			return
		}
		alone = append(alone, failed)
	}
	for _, u := range alone {
		if u.panicked != nil {
			u.done = true
			continue
		}
		failed, err := s.write([]*update{u})
		if failed != nil {
			u.done = true
			continue
		}
		s.finish([]*update{u}, err)
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
		u.done = true
		switch {
		case u.err != nil || u.panicked != nil:
		case err != nil:
			u.err = err
		default:
			s.followers.Tell(u.changes)
		}
	}
}
