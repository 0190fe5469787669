package etcd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"cloudlets/provision/store"
)

// The place of the mark that a restore sets before its first change, and removes
// with its last one. Its value is the name of the restore. While it is there, no
// server opens the store, and those that have it open can write nothing.
const (
	restoreBucket = "restoring"
	restoreKey    = "mark"
)

var (
	// ErrHalfRestored says that a store is not whole, since a restore into it was
	// broken off or is still under way.
	ErrHalfRestored = errors.New("the store is half restored: a restore was broken off, or is still under way; run `cloudlets restore` with the backup again, and start the servers when it is done")
	// ErrNotEmpty says that a restore would replace what is there.
	ErrNotEmpty = errors.New("there is a store already")
)

// Content is what a restore puts into the store. [store.File] is one.
type Content interface {
	Walk(ctx context.Context, visit func(bucket, key string, value []byte) error) error
}

// Restoring says how a restore treats what is there.
type Restoring struct {
	// Refuse looks at what is there, and returns an error if it must stay. It
	// sees the same instant that Keep gets.
	Refuse func(store.Tx) error
	// Keep is given a function that writes a copy of what is there, as
	// [Store.Backup] does, and must make that durable. If Keep is nil, the restore
	// replaces nothing, and fails with [ErrNotEmpty] if anything is there. What an
	// earlier restore has left half done counts as nothing.
	Keep func(write func(io.Writer) error) error
	// Written, if not nil, is called after each write to etcd. Its error breaks
	// the restore off.
	Written func() error
}

// Restore replaces all that is under the prefix by content. No server may be alive
// there: see Restoring.Refuse. If Restore is broken off, either nothing has changed,
// or the store is marked, so that [Open] returns [ErrHalfRestored]; a further Restore
// begins anew.
func Restore(ctx context.Context, o Options, content Content, how Restoring) (err error) {
	failed := func(err error) error {
		return fmt.Errorf("restore the store in etcd at %s: %w", strings.Join(o.Endpoints, ", "), err)
	}
	s, err := connect(ctx, o)
	if err != nil {
		return failed(err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	r := &restore{store: s, how: how, name: rand.Text()}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return r.check(ctx, content) },
		r.begin,
		r.clear,
		func(ctx context.Context) error { return r.fill(ctx, content) },
		r.finish,
	} {
		if err := step(ctx); err != nil {
			return failed(err)
		}
	}
	return nil
}

// restore is one restore that is under way.
type restore struct {
	store *Store
	how   Restoring
	name  string // the value of its mark
}

// restoreMark is the key of the mark.
func (s *Store) restoreMark() string { return s.key(restoreBucket, restoreKey) }

// whole is true of a store that is not marked.
func (s *Store) whole() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(s.restoreMark()), "=", 0)
}

// check refuses content that the store would not take, before anything has
// changed.
func (r *restore) check(ctx context.Context, content Content) error {
	t := r.batch(ctx)
	return content.Walk(ctx, func(bucket, key string, value []byte) error {
		clear(t.writes)
		if err := t.Put(bucket, key, value); err != nil {
			return err
		}
		return t.checkSize()
	})
}

// batch is an empty set of writes.
func (r *restore) batch(ctx context.Context) *txn {
	return &txn{store: r.store, ctx: ctx, writes: make(map[string][]byte)}
}

// begin keeps what is there, and sets the mark, unless anything changed meanwhile.
func (r *restore) begin(ctx context.Context) error {
	t := &txn{store: r.store, ctx: ctx}
	if err := r.keep(t); err != nil {
		return err
	}
	all := clientv3.Compare(clientv3.ModRevision(r.store.prefix), "<", t.revision+1).WithRange(clientv3.GetPrefixRangeEnd(r.store.prefix))
	return r.write(ctx, "something else wrote to the store just now: stop all servers that use it, and any other restore, and try again",
		r.name, all, clientv3.OpPut(r.store.restoreMark(), r.name))
}

// keep keeps what a transaction sees, or refuses to replace it.
func (r *restore) keep(t *txn) error {
	if r.how.Refuse != nil {
		if err := r.how.Refuse(t); err != nil {
			return err
		}
	}
	mark, err := t.Get(restoreBucket, restoreKey)
	if err != nil || mark != nil {
		return err
	}
	keys := 0
	err = t.eachShared(func(_, _ string, _ []byte) error {
		keys++
		return nil
	})
	if err != nil || keys == 0 {
		return err
	}
	if r.how.Keep == nil {
		return fmt.Errorf("%w, with %d keys under %s", ErrNotEmpty, keys, strings.TrimSuffix(r.store.prefix, "/"))
	}
	return r.how.Keep(func(w io.Writer) error { return t.backup(w) })
}

// clear removes all but the mark, a page at a time.
func (r *restore) clear(ctx context.Context) error {
	mark := r.store.restoreMark()
	for _, part := range []keyRange{{r.store.prefix, mark}, {mark + "\x00", clientv3.GetPrefixRangeEnd(r.store.prefix)}} {
		for more := true; more; {
			var page *clientv3.GetResponse
			err := r.store.repeat(ctx, func(ctx context.Context) (err error) {
				page, err = r.store.client.Get(ctx, part.from, clientv3.WithRange(part.below), clientv3.WithLimit(pageSize), clientv3.WithKeysOnly())
				return err
			})
			if err != nil {
				return err
			}
			if len(page.Kvs) == 0 {
				break
			}
			last := string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
			if err := r.change(ctx, clientv3.OpDelete(part.from, clientv3.WithRange(last))); err != nil {
				return err
			}
			part.from, more = last, page.More
		}
	}
	return nil
}

// fill writes the content, a page at a time.
func (r *restore) fill(ctx context.Context, content Content) error {
	t, size := r.batch(ctx), 0
	flush := func() error {
		if len(t.writes) == 0 {
			return nil
		}
		err := r.change(ctx, t.operations()...)
		clear(t.writes)
		size = 0
		return err
	}
	err := content.Walk(ctx, func(bucket, key string, value []byte) error {
		more := len(t.store.key(bucket, key)) + len(value)
		if len(t.writes) == pageSize || size+more > t.store.Limits().Bytes {
			if err := flush(); err != nil {
				return err
			}
		}
		size += more
		return t.Put(bucket, key, value)
	})
	if err != nil {
		return err
	}
	return flush()
}

// overtaken is the error of a restore whose mark is gone.
const overtaken = "another restore has begun meanwhile: let one end before you start another"

// marked is true as long as the mark is that of this restore.
func (r *restore) marked() clientv3.Cmp {
	return clientv3.Compare(clientv3.Value(r.store.restoreMark()), "=", r.name)
}

// change makes changes under the mark.
func (r *restore) change(ctx context.Context, ops ...clientv3.Op) error {
	return r.write(ctx, overtaken, r.name, r.marked(), ops...)
}

// finish removes the mark: from then on the store is whole.
func (r *restore) finish(ctx context.Context) error {
	return r.write(ctx, overtaken, "", r.marked(), clientv3.OpDelete(r.store.restoreMark()))
}

// write makes changes if a condition holds, and returns otherwise as an error if it
// does not. When the answer is lost it asks again; it knows its own write by what
// the mark is after that.
func (r *restore) write(ctx context.Context, otherwise, after string, condition clientv3.Cmp, ops ...clientv3.Op) error {
	tries, done := 0, false
	err := r.store.repeat(ctx, func(ctx context.Context) error {
		tries++
		answer, err := r.store.client.Txn(ctx).If(condition).Then(ops...).Else(clientv3.OpGet(r.store.restoreMark())).Commit()
		if err == nil && !answer.Succeeded {
			_, mark := found(answer)
			done = tries > 1 && mark == after
		} else {
			done = err == nil
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case !done:
		return errors.New(otherwise)
	case r.how.Written != nil:
		return r.how.Written()
	}
	return nil
}
