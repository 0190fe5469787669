package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"cloudlets/provision/store"
)

const (
	// maxCompares is how many keys and ranges a transaction may read, and
	// maxNested how many operations it may have in each of as many parts. Their
	// sum, with the receipt, is below the 128 that etcd allows.
	maxCompares = 60
	maxNested   = 64
	// pageSize is how many keys a scan reads at once.
	pageSize = 500
)

// View implements [store.Store].
func (s *Store) View(ctx context.Context, read func(store.Tx) error) error {
	for {
		err := s.view(ctx, 0, read)
		if !errors.Is(err, rpctypes.ErrCompacted) {
			return err
		}
		// It took so long that what it read is gone from etcd's history.
	}
}

// view runs a function that reads at a revision, or at the present one if that is
// 0.
func (s *Store) view(ctx context.Context, revision int64, read func(store.Tx) error) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	return read(&txn{store: s, ctx: ctx, revision: revision})
}

// txn is one try of a transaction.
type txn struct {
	store    *Store
	ctx      context.Context
	revision int64 // at which it reads; 0 until the first read
	// reads has the revision at which each key that was read was changed last,
	// or 0 for an absent one. It is nil if the transaction only reads.
	reads  map[string]int64
	ranges []keyRange
	writes map[string][]byte // nil means that the key is deleted
}

// keyRange is the keys from one on, and below another.
type keyRange struct{ from, below string }

// ask makes one request that changes nothing.
func (t *txn) ask(f func(context.Context) error) error {
	return t.store.repeat(t.ctx, f)
}

// options are the options of a read.
func (t *txn) options(more ...clientv3.OpOption) []clientv3.OpOption {
	if t.revision > 0 {
		more = append(more, clientv3.WithRev(t.revision))
	}
	return more
}

// read notes what a key was when it was read, and returns its value.
func (t *txn) read(key string, answer *clientv3.GetResponse) []byte {
	if len(answer.Kvs) == 0 {
		t.note(key, 0)
		return nil
	}
	t.note(key, answer.Kvs[0].ModRevision)
	return nonNil(answer.Kvs[0].Value)
}

func (t *txn) note(key string, revision int64) {
	if t.reads != nil {
		t.reads[key] = revision
	}
}

func (t *txn) Get(bucket, key string) ([]byte, error) {
	values, err := t.GetEach(bucket, []string{key})
	if err != nil {
		return nil, err
	}
	return values[0], nil
}

func (t *txn) GetEach(bucket string, keys []string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	var ops []clientv3.Op
	var at []int
	for i, key := range keys {
		full := t.store.key(bucket, key)
		if own, is := t.writes[full]; is {
			values[i] = slices.Clone(own)
			continue
		}
		ops, at = append(ops, clientv3.OpGet(full, t.options()...)), append(at, i)
		if len(ops) == maxNested {
			if err := t.getAll(bucket, keys, ops, at, values); err != nil {
				return nil, err
			}
			ops, at = nil, nil
		}
	}
	return values, t.getAll(bucket, keys, ops, at, values)
}

// getAll sends reads as one request.
func (t *txn) getAll(bucket string, keys []string, ops []clientv3.Op, at []int, values [][]byte) error {
	if len(ops) == 0 {
		return nil
	}
	var answer *clientv3.TxnResponse
	err := t.ask(func(ctx context.Context) (err error) {
		answer, err = t.store.client.Txn(ctx).Then(ops...).Commit()
		return err
	})
	if err != nil {
		return fmt.Errorf("read %s of bucket %s: %w", keys[at[0]], bucket, err)
	}
	t.revision = cmpRevision(t.revision, answer.Header.Revision)
	for i, one := range answer.Responses {
		values[at[i]] = t.read(t.store.key(bucket, keys[at[i]]), (*clientv3.GetResponse)(one.GetResponseRange()))
	}
	return nil
}

// cmpRevision is the revision of a transaction after a read.
func cmpRevision(have, read int64) int64 {
	if have > 0 {
		return have
	}
	return read
}

func (t *txn) Put(bucket, key string, value []byte) error {
	if err := store.CheckKey(bucket, key); err != nil {
		return err
	}
	if strings.Contains(bucket, "/") {
		return fmt.Errorf("write bucket %q: its name must have no slash", bucket)
	}
	return t.write(bucket, key, nonNil(slices.Clone(value)))
}

func (t *txn) Delete(bucket, key string) error { return t.write(bucket, key, nil) }

func (t *txn) write(bucket, key string, value []byte) error {
	if t.writes == nil {
		return store.ErrReadOnly
	}
	t.writes[t.store.key(bucket, key)] = value
	return nil
}

func (t *txn) Scan(bucket, prefix, from string, visit func(string, []byte) error) error {
	base := t.store.key(bucket, "")
	begin, below := base+max(prefix, from), clientv3.GetPrefixRangeEnd(base+prefix)
	if begin >= below {
		return nil
	}
	own := t.ownIn(begin, below)
	reached := below // where the scan ended
	err := t.pages(begin, below, func(key string, value []byte) error {
		for len(own) > 0 && own[0] < key {
			if err := t.visitOwn(own[0], base, visit); err != nil {
				reached = own[0] + "\x00"
				return err
			}
			own = own[1:]
		}
		var err error
		if len(own) > 0 && own[0] == key {
			err = t.visitOwn(key, base, visit)
			own = own[1:]
		} else {
			err = visit(strings.TrimPrefix(key, base), value)
		}
		if err != nil {
			reached = key + "\x00"
		}
		return err
	})
	for err == nil && len(own) > 0 {
		err = t.visitOwn(own[0], base, visit)
		own = own[1:]
	}
	if t.reads != nil {
		t.ranges = append(t.ranges, keyRange{begin, reached})
	}
	if err == store.ErrStopScan {
		return nil
	}
	return err
}

// ownIn are the keys of a range that this transaction wrote, sorted.
func (t *txn) ownIn(begin, below string) []string {
	var own []string
	for key := range t.writes {
		if key >= begin && key < below {
			own = append(own, key)
		}
	}
	slices.Sort(own)
	return own
}

func (t *txn) visitOwn(key, base string, visit func(string, []byte) error) error {
	value := t.writes[key]
	if value == nil {
		return nil
	}
	return visit(strings.TrimPrefix(key, base), value)
}

// pages reads a range page by page.
func (t *txn) pages(begin, below string, visit func(key string, value []byte) error) error {
	for {
		var answer *clientv3.GetResponse
		err := t.ask(func(ctx context.Context) (err error) {
			answer, err = t.store.client.Get(ctx, begin, t.options(clientv3.WithRange(below), clientv3.WithLimit(pageSize))...)
			return err
		})
		if err != nil {
			return fmt.Errorf("scan from %s: %w", begin, err)
		}
		t.revision = cmpRevision(t.revision, answer.Header.Revision)
		for _, kv := range answer.Kvs {
			if err := visit(string(kv.Key), nonNil(kv.Value)); err != nil {
				return err
			}
			begin = string(kv.Key) + "\x00"
		}
		if !answer.More {
			return nil
		}
	}
}

// nonNil makes an absent value of an empty one.
func nonNil(value []byte) []byte {
	if value == nil {
		return []byte{}
	}
	return value
}
