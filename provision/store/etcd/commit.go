package etcd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"cloudlets/images/pause"
	"cloudlets/provision/store"
)

// The longest pause before the second try of a transaction is firstPause. It
// doubles with each further try, up to lastPause.
const (
	firstPause = 4 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, write func(store.Tx) error) error {
	revision, err := s.update(ctx, write)
	if err != nil || revision == 0 {
		return err
	}
	return s.seen(ctx, revision)
}

// update runs a transaction until it is committed, and returns the revision that
// it made, or 0 if it changed nothing.
func (s *Store) update(ctx context.Context, write func(store.Tx) error) (revision int64, err error) {
	for wait := firstPause; ; wait = min(2*wait, lastPause) {
		if err := s.ready(ctx); err != nil {
			return 0, err
		}
		t := &txn{store: s, ctx: ctx, reads: make(map[string]int64), writes: make(map[string][]byte)}
		err := write(t)
		if err == nil {
			var done bool
			if revision, done, err = t.commit(); done {
				return revision, err
			}
		}
		if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
			return 0, err
		}
		// Another server was first. A random pause lets one of several win.
		if err := pause.For(ctx, rand.N(wait)); err != nil {
			return 0, err
		}
	}
}

// commit writes what the transaction changes, unless anything that it read has
// changed. If it is not done, it changed nothing and has to run again. The revision
// is 0 if there was nothing to write.
func (t *txn) commit() (revision int64, done bool, err error) {
	if len(t.writes) == 0 {
		return 0, true, nil
	}
	if err := t.checkSize(); err != nil {
		return 0, true, err
	}
	s := t.store
	r := s.receipts.take()
	var answer *clientv3.TxnResponse
	var cause error // as etcd's client says it, which is not an ErrAway
	err = s.call(t.ctx, func(ctx context.Context) error {
		answer, cause = s.client.Txn(ctx).If(append(t.compares(), r.unused(), s.whole())...).
			Then(append(t.operations(), r.use())...).Else(r.get(), clientv3.OpGet(s.restoreMark())).Commit()
		return cause
	})
	switch {
	case err == nil && answer.Succeeded:
		revision = answer.Header.Revision
		r.revision = revision
		s.receipts.giveBack(r)
		return revision, true, nil
	case err == nil:
		r.revision, _ = found(answer)
		s.receipts.giveBack(r)
		if len(answer.Responses[1].GetResponseRange().Kvs) > 0 {
			return 0, true, fmt.Errorf("write %d keys to etcd: %w", len(t.writes), ErrHalfRestored)
		}
		return 0, false, nil
	case !maybeDone(cause):
		s.receipts.giveBack(r)
		return 0, true, fmt.Errorf("write %d keys to etcd: %w", len(t.writes), err)
	}
	revision, err = s.settle(t.ctx, r)
	if err != nil {
		return 0, true, fmt.Errorf("%w: write %d keys to etcd: %w", store.ErrUncertain, len(t.writes), cause)
	}
	s.receipts.giveBack(r)
	return revision, revision > 0, nil
}

// checkSize refuses a transaction that exceeds [Store.Limits].
func (t *txn) checkSize() error {
	size := 0
	for key, value := range t.writes {
		size += len(key) + len(value)
	}
	limits, reads := t.store.Limits(), len(t.reads)+len(t.ranges)
	if reads > limits.Reads || len(t.writes) > limits.Writes || size > limits.Bytes {
		return fmt.Errorf("a transaction of %d reads and %d writes with %d bytes is too large for a shared store, which takes %d, %d and %d",
			reads, len(t.writes), size, limits.Reads, limits.Writes, limits.Bytes)
	}
	return nil
}

// compares are true if nothing that the transaction read has changed.
func (t *txn) compares() []clientv3.Cmp {
	var list []clientv3.Cmp
	for key, revision := range t.reads {
		list = append(list, clientv3.Compare(clientv3.ModRevision(key), "=", revision))
	}
	for _, r := range t.ranges {
		list = append(list, clientv3.Compare(clientv3.ModRevision(r.from), "<", t.revision+1).WithRange(r.below))
	}
	return list
}

// operations are the writes. If they are many, they are nested in parts.
func (t *txn) operations() []clientv3.Op {
	var ops []clientv3.Op
	for _, key := range slices.Sorted(maps.Keys(t.writes)) {
		if value := t.writes[key]; value != nil {
			ops = append(ops, clientv3.OpPut(key, string(value)))
		} else {
			ops = append(ops, clientv3.OpDelete(key))
		}
	}
	if len(ops) <= maxNested {
		return ops
	}
	var parts []clientv3.Op
	for part := range slices.Chunk(ops, maxNested) {
		parts = append(parts, clientv3.OpTxn(nil, part, nil))
	}
	return parts
}
