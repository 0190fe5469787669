package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"cloudlets/images/pause"
	"cloudlets/provision/store"
)

// delivered is the revision up to which the followers have been told.
type delivered struct {
	mu       sync.Mutex
	revision int64
	grew     chan struct{} // closed and replaced when revision grows
}

func (d *delivered) init() { d.grew = make(chan struct{}) }

func (d *delivered) advance(revision int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if revision <= d.revision {
		return
	}
	d.revision = revision
	close(d.grew)
	d.grew = make(chan struct{})
}

func (d *delivered) now() (revision int64, grew <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.revision, d.grew
}

// wait waits until the followers have been told of a revision.
func (d *delivered) wait(ctx context.Context, revision int64) error {
	for {
		now, grew := d.now()
		if now >= revision {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grew:
		}
	}
}

// seen waits until the followers have been told of a revision that this server made.
func (s *Store) seen(ctx context.Context, revision int64) error {
	waiting, cancel := context.WithTimeout(ctx, seenTimeout)
	defer cancel()
	if err := s.delivered.wait(waiting, revision); err != nil {
		return fmt.Errorf("%w: etcd took the changes, and does not tell of them: %w", store.ErrUncertain, err)
	}
	return nil
}

// Follow implements [store.Store].
func (s *Store) Follow(ctx context.Context, f store.Follower, buckets ...string) (stop func(), err error) {
	s.followers.Lock()
	defer s.followers.Unlock()
	add := func() (func(), error) {
		revision, _ := s.delivered.now()
		return s.followers.Add(func(load func(store.Tx) error) error { return s.view(ctx, revision, load) }, f, buckets)
	}
	if stop, err = add(); !errors.Is(err, rpctypes.ErrCompacted) {
		return stop, err
	}
	// Nothing was written here for so long that etcd, in which others write,
	// too, has forgotten this revision.
	if err := s.reload(ctx); err != nil {
		return nil, err
	}
	return add()
}

// watch tells the followers of everything that is written, until ctx ends.
func (s *Store) watch(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.watchOnce(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("following etcd was broken off; going on", "error", err)
			s.outage.suspect()
			if err := pause.For(ctx, retryPause); err != nil {
				return nil
			}
		}
	}
	return nil
}

// watchOnce follows from the revision that was delivered last until the watch
// breaks off.
func (s *Store) watchOnce(ctx context.Context) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	from, _ := s.delivered.now()
	answers := s.client.Watch(ctx, s.prefix, clientv3.WithPrefix(), clientv3.WithRev(from+1), clientv3.WithFragment(), clientv3.WithProgressNotify())
	for a := range answers {
		if a.CompactRevision > 0 {
			s.log.Warn("etcd's history does not go back far enough; reading everything again", "from", from, "kept", a.CompactRevision)
			s.followers.Lock()
			defer s.followers.Unlock()
			return s.reload(ctx)
		}
		if err := a.Err(); err != nil {
			return err
		}
		s.deliver(a.Events)
		if a.IsProgressNotify() {
			s.delivered.advance(a.Header.Revision)
		}
	}
	return ctx.Err()
}

// deliver tells the followers of each revision in turn. They know those already
// that came before the last reload.
func (s *Store) deliver(events []*clientv3.Event) {
	for len(events) > 0 {
		revision := events[0].Kv.ModRevision
		n := slices.IndexFunc(events, func(e *clientv3.Event) bool { return e.Kv.ModRevision != revision })
		if n < 0 {
			n = len(events)
		}
		changes := make([]store.Change, n)
		for i, e := range events[:n] {
			bucket, key := s.split(string(e.Kv.Key))
			changes[i] = store.Change{Bucket: bucket, Key: key}
			if e.Type == clientv3.EventTypePut {
				changes[i].Value = nonNil(e.Kv.Value)
			}
		}
		events = events[n:]
		s.followers.Lock()
		if now, _ := s.delivered.now(); revision > now {
			s.followers.Tell(changes)
			s.delivered.advance(revision)
		}
		s.followers.Unlock()
	}
}

// reload lets the followers read everything anew. The caller holds their lock.
func (s *Store) reload(ctx context.Context) error {
	var now int64
	err := s.repeat(ctx, func(ctx context.Context) error {
		answer, err := s.client.Get(ctx, s.prefix, clientv3.WithCountOnly())
		if err == nil {
			now = answer.Header.Revision
		}
		return err
	})
	if err == nil {
		err = s.followers.Reload(func(load func(store.Tx) error) error { return s.view(ctx, now, load) })
	}
	if err != nil {
		return fmt.Errorf("read everything again: %w", err)
	}
	s.delivered.advance(now)
	return nil
}
