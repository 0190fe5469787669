package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// receiptBucket has the receipts of all servers.
const receiptBucket = "receipts"

// What a receipt says: the commit that wrote it took effect, or it was written so
// that the commit cannot take effect any more.
const (
	receiptDone = "done"
	receiptVoid = "void"
)

// receipt is a key that a commit writes together with its changes. Only the one who
// took it writes it, and the commit takes effect only if the receipt is as it was
// before. So when the answer to a commit is lost, the receipt tells whether it took
// effect. What the transaction itself wrote could not tell that: another server may
// have written the same.
type receipt struct {
	key      string
	revision int64 // at which it was written last; 0 if it is absent
}

func (r *receipt) unused() clientv3.Cmp {
	return clientv3.Compare(clientv3.ModRevision(r.key), "=", r.revision)
}
func (r *receipt) use() clientv3.Op { return clientv3.OpPut(r.key, receiptDone) }
func (r *receipt) get() clientv3.Op { return clientv3.OpGet(r.key) }

// found returns what the get of a receipt has found in the else branch of a
// transaction: the revision is 0 if the receipt is absent.
func found(answer *clientv3.TxnResponse) (revision int64, says string) {
	for _, kv := range answer.Responses[0].GetResponseRange().Kvs {
		revision, says = kv.ModRevision, string(kv.Value)
	}
	return revision, says
}

// receipts are the receipts of this server that no commit uses. There are as many
// as there were ever commits at once.
type receipts struct {
	mu   sync.Mutex
	base string // begins their keys
	free []*receipt
	made int
}

func (l *receipts) init(s *Store) { l.base = s.key(receiptBucket, rand.Text()+"/") }

func (l *receipts) take() *receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		r := l.free[n-1]
		l.free = l.free[:n-1]
		return r
	}
	l.made++
	return &receipt{key: fmt.Sprint(l.base, l.made)}
}

// giveBack lets another commit use a receipt. One of a commit whose outcome is not
// known must not be given back.
func (l *receipts) giveBack(r *receipt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, r)
}

// settle finds out whether a commit whose answer was lost took effect, and returns
// the revision that it made. If that is 0, it did not take effect, and never will.
func (s *Store) settle(ctx context.Context, r *receipt) (revision int64, err error) {
	var answer *clientv3.TxnResponse
	err = s.repeat(ctx, func(ctx context.Context) (err error) {
		answer, err = s.client.Txn(ctx).If(r.unused()).Then(clientv3.OpPut(r.key, receiptVoid)).Else(r.get()).Commit()
		return err
	})
	if err != nil {
		return 0, err
	}
	if answer.Succeeded {
		r.revision = answer.Header.Revision
		return 0, nil
	}
	at, says := found(answer)
	r.revision = at
	switch says {
	case receiptDone:
		return at, nil
	case receiptVoid: // by a request of this function whose answer was lost, too
		return 0, nil
	}
	return 0, errors.New("somebody removed its receipt")
}

// sweepReceipts removes the receipts that were not written after a revision: their
// servers have ended, or do not use them. A server that goes on to use one runs one
// transaction again.
func (s *Store) sweepReceipts(ctx context.Context, revision int64) error {
	base := s.key(receiptBucket, "")
	answer, err := s.client.Get(ctx, base, clientv3.WithPrefix(), clientv3.WithMaxModRev(revision), clientv3.WithKeysOnly())
	if err != nil {
		return err
	}
	for part := range slices.Chunk(answer.Kvs, maxCompares) {
		var old []clientv3.Cmp
		var remove []clientv3.Op
		for _, kv := range part {
			key := string(kv.Key)
			old = append(old, clientv3.Compare(clientv3.ModRevision(key), "=", kv.ModRevision))
			remove = append(remove, clientv3.OpDelete(key))
		}
		// If one was used meanwhile, these stay until the next time.
		if _, err := s.client.Txn(ctx).If(old...).Then(remove...).Commit(); err != nil {
			return err
		}
	}
	return nil
}
