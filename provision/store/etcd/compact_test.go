package etcd

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"cloudlets/provision/store"
	testcluster "cloudlets/testdata/etcd"
)

// openBoth opens a store for two servers.
func openBoth(t *testing.T) (a, b *Store) {
	t.Helper()
	cluster := testcluster.Start(t, 1)
	for _, s := range []**Store{&a, &b} {
		opened, err := Open(t.Context(), Options{Endpoints: cluster.Endpoints()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := opened.Close(); err != nil {
				t.Error(err)
			}
		})
		*s = opened
	}
	return a, b
}

func putOne(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Put("b", "k", nil) }); err != nil {
		t.Fatal(err)
	}
}

// TestHistoryIsCut: one of the servers cuts it, to what is as old as a mark, and
// what has ended is swept away.
func TestHistoryIsCut(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	a, b := openBoth(t)
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	mark := func(s *Store, after time.Duration) int64 {
		t.Helper()
		revision, err := s.mark(ctx, begin.Add(after))
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	putOne(t, a)
	putOne(t, b)
	if r := mark(a, 0); r != 0 {
		t.Errorf("the first mark cuts to %d", r)
	}
	before := revisionOf(t, a)
	putOne(t, a)
	if r := mark(b, compactEvery-time.Second); r != 0 {
		t.Errorf("a young mark cuts to %d", r)
	}
	cutTo := mark(b, compactEvery)
	if cutTo == 0 || cutTo >= before {
		t.Errorf("cuts to %d, want a revision below %d", cutTo, before)
	}
	if r := mark(a, compactEvery); r != 0 {
		t.Errorf("the other server cuts to %d as well", r)
	}
	if n := countReceipts(t, a); n != 2 {
		t.Errorf("there are %d receipts, want one of each server", n)
	}
	if err := b.cut(ctx, before); err != nil {
		t.Fatal(err)
	}
	if _, err := a.client.Get(ctx, "k", clientv3.WithRev(before-1)); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("an old revision: %v", err)
	}
	// Both have used their receipts since. They go with the next cut, and the
	// servers go on.
	if err := b.cut(ctx, revisionOf(t, a)); err != nil {
		t.Fatal(err)
	}
	if n := countReceipts(t, a); n != 0 {
		t.Errorf("%d receipts stay", n)
	}
	if err := b.cut(ctx, before); err != nil {
		t.Errorf("a second cut to the same revision: %v", err)
	}
	for range 2 {
		putOne(t, a)
		putOne(t, b)
	}
}

func revisionOf(t *testing.T, s *Store) int64 {
	t.Helper()
	answer, err := s.client.Get(t.Context(), s.prefix, clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return answer.Header.Revision
}

func countReceipts(t *testing.T, s *Store) int64 {
	t.Helper()
	answer, err := s.client.Get(t.Context(), s.key(receiptBucket, ""), clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return answer.Count
}

// TestSettle: whether a commit took effect is found out exactly, however often that
// is asked, and one that did not can take effect no more.
func TestSettle(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, _ := openBoth(t)
	commit := func(r receipt) bool {
		t.Helper()
		answer, err := s.client.Txn(ctx).If(r.unused()).Then(r.use()).Else(r.get()).Commit()
		if err != nil {
			t.Fatal(err)
		}
		return answer.Succeeded
	}
	settle := func(r receipt) (int64, error) { return s.settle(ctx, &r) }
	for _, used := range []bool{false, true} { // before
		r := s.receipts.take()
		if used {
			commit(*r)
			r.revision = revisionOf(t, s)
		}
		late := *r
		for range 2 { // the answer to the first may be lost
			if revision, err := settle(*r); revision != 0 || err != nil {
				t.Errorf("a commit that did not come: %d, %v", revision, err)
			}
		}
		if commit(late) {
			t.Error("a commit took effect after it was settled that it did not")
		}
		r.revision = revisionOf(t, s)
		if !commit(*r) {
			t.Fatal("the receipt cannot be used again")
		}
		made := revisionOf(t, s)
		for range 2 {
			if revision, err := settle(*r); revision != made || err != nil {
				t.Errorf("a commit that came: %d, %v; want %d", revision, err, made)
			}
		}
		if _, err := s.client.Delete(ctx, r.key); err != nil {
			t.Fatal(err)
		}
		if _, err := settle(*r); err == nil {
			t.Error("without its receipt, a commit is settled")
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.settle(ended, s.receipts.take()); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
