package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"cloudlets/images/pause"
	"cloudlets/provision/store"
)

// announceTTL is how many seconds an announced key outlives its process.
const announceTTL = 10

// announcer keeps what this process announces. The keys belong to a lease of etcd,
// which a session keeps alive. If the session ends, since etcd did not answer for
// longer than the lease lasts, there is a new one.
type announcer struct {
	mu      sync.Mutex // held while a session is made
	keys    map[string][]byte
	session *concurrency.Session
	begun   chan struct{} // closed when there is a first session
}

func (a *announcer) init() {
	a.keys, a.begun = make(map[string][]byte), make(chan struct{})
}

// Announce implements [store.Store]. After an error the key may be announced later.
func (s *Store) Announce(ctx context.Context, key string, value []byte) error {
	revision, err := s.announce(ctx, key, value)
	if err == nil {
		err = s.seen(ctx, revision)
	}
	if err != nil {
		return fmt.Errorf("announce %s: %w", key, err)
	}
	return nil
}

func (s *Store) announce(ctx context.Context, key string, value []byte) (revision int64, err error) {
	if err := store.CheckKey(store.Announced, key); err != nil {
		return 0, err
	}
	a := &s.announcer
	a.mu.Lock()
	defer a.mu.Unlock()
	a.keys[key] = value
	if err := s.ready(ctx); err != nil {
		return 0, err
	}
	if a.alive() {
		revision, err = s.putAnnounced(ctx, key, value)
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return revision, err
		}
		a.session.Orphan() // it ended in etcd, and the session does not know yet
	}
	return s.announceAll(ctx)
}

// alive says whether there is a session that has not ended. The caller holds mu.
func (a *announcer) alive() bool {
	if a.session == nil {
		return false
	}
	select {
	case <-a.session.Done():
		return false
	default:
		return true
	}
}

// announceAll announces everything, in a new session if the last one has ended, and
// returns the revision of the last write. The caller holds mu.
func (s *Store) announceAll(ctx context.Context) (revision int64, err error) {
	a := &s.announcer
	if !a.alive() {
		if err := s.newSession(ctx); err != nil {
			return 0, err
		}
	}
	for key, value := range a.keys {
		if revision, err = s.putAnnounced(ctx, key, value); err != nil {
			return 0, err
		}
	}
	return revision, nil
}

// newSession makes a lease for the announced keys, and keeps it alive. The caller
// holds mu.
func (s *Store) newSession(ctx context.Context) error {
	var lease clientv3.LeaseID
	err := s.call(ctx, func(ctx context.Context) error {
		answer, err := s.client.Grant(ctx, announceTTL)
		if err == nil {
			lease = answer.ID
		}
		return err
	})
	if err != nil {
		return err
	}
	session, err := concurrency.NewSession(s.client, concurrency.WithTTL(announceTTL), concurrency.WithLease(lease))
	if err != nil {
		return err
	}
	if s.announcer.session == nil {
		close(s.announcer.begun)
	}
	s.announcer.session = session
	return nil
}

// putAnnounced writes an announced key. The caller holds mu.
func (s *Store) putAnnounced(ctx context.Context, key string, value []byte) (revision int64, err error) {
	err = s.call(ctx, func(ctx context.Context) error {
		put := clientv3.OpPut(s.key(store.Announced, key), string(value), clientv3.WithLease(s.announcer.session.Lease()))
		answer, err := s.client.Txn(ctx).If(s.whole()).Then(put).Commit()
		if err == nil && !answer.Succeeded {
			err = ErrHalfRestored
		}
		if err == nil {
			revision = answer.Header.Revision
		}
		return err
	})
	return revision, err
}

// keepAnnounced announces everything again when the lease was lost, until ctx
// ends.
func (s *Store) keepAnnounced(ctx context.Context) error {
	a := &s.announcer
	select {
	case <-ctx.Done():
		return nil
	case <-a.begun:
	}
	for {
		a.mu.Lock()
		session := a.session
		a.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-session.Done():
		}
		for err := s.announceAgain(ctx); err != nil; err = s.announceAgain(ctx) {
			if err := pause.For(ctx, retryPause); err != nil {
				return nil
			}
		}
	}
}

func (s *Store) announceAgain(ctx context.Context) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.announcer.mu.Lock()
	defer s.announcer.mu.Unlock()
	_, err := s.announceAll(ctx)
	return err
}

// end takes back what was announced. It takes some time at most: if etcd does not
// answer, the keys go away by themselves.
func (a *announcer) end() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.session == nil {
		return nil
	}
	a.session.Orphan()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := a.session.Client().Revoke(ctx, a.session.Lease())
	if isAway(err) || errors.Is(err, context.Canceled) || errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return nil
	}
	return err
}
