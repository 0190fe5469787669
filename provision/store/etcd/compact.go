package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"cloudlets/images/pause"
	"cloudlets/provision/store"
)

// compactEvery is how often etcd's history is cut, to what is as old as that.
// etcd keeps every value that a key ever had until somebody says that it may
// forget, and takes no more writes when its space is used up. That this is left to
// etcd's own option --auto-compaction-retention would be one more thing to know and
// to forget. Cutting is sound with several servers: one that was cut off for longer
// reads everything again. It cuts the history of other programs in the same etcd,
// too, which have to expect that of any etcd.
const compactEvery = 10 * time.Minute

// compactTimeout bounds one cut, for which nobody waits.
const compactTimeout = time.Minute

// The place of the mark by which the servers agree who cuts the history.
const (
	compactBucket = "compaction"
	compactKey    = "mark"
)

// compactMark is the revision of etcd at a time.
type compactMark struct {
	Revision int64     `json:"revision"`
	Time     time.Time `json:"time"`
}

// compact cuts the history from time to time, until ctx ends. It is no loss if it
// fails: a later time cuts more.
func (s *Store) compact(ctx context.Context) error {
	for pause.For(ctx, compactEvery/4) == nil {
		revision, err := s.mark(ctx, time.Now())
		if err != nil || revision == 0 {
			continue
		}
		if err := s.cut(ctx, revision); err != nil && ctx.Err() == nil {
			s.log.Warn("etcd's history was not cut", "error", err)
		}
	}
	return nil
}

// cut removes what is of no use after a revision.
func (s *Store) cut(ctx context.Context, revision int64) error {
	ctx, cancel := context.WithTimeout(ctx, compactTimeout)
	defer cancel()
	if err := s.sweepReceipts(ctx, revision); err != nil {
		return err
	}
	_, err := s.client.Compact(ctx, revision)
	if errors.Is(err, rpctypes.ErrCompacted) { // by somebody else
		return nil
	}
	return err
}

// mark returns the revision of the last mark, if that is old enough and this
// server is the one that replaces it. Otherwise it returns 0.
func (s *Store) mark(ctx context.Context, now time.Time) (revision int64, err error) {
	err = s.Update(ctx, func(tx store.Tx) error {
		revision = 0
		var last compactMark
		if _, err := store.GetJSON(tx, compactBucket, compactKey, &last); err != nil {
			return err
		}
		if age := now.Sub(last.Time); age >= 0 && age < compactEvery {
			return nil
		}
		revision = last.Revision
		return store.PutJSON(tx, compactBucket, compactKey, compactMark{tx.(*txn).revision, now})
	})
	return revision, err
}
