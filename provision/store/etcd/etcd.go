// Package etcd is the form of a store that several servers share: it keeps what
// they must agree on in an etcd cluster. It does what package store says. Who
// keeps state in it needs to know no more than [Open]; what restores a backup or looks for
// what is wrong has functions of its own here.
//
// A transaction is optimistic. It reads at one revision, and its commit is one
// etcd transaction, which takes effect only if nothing changed that was read.
// Otherwise it runs again. The etcd client's own package for that, concurrency.STM,
// has no scans, does not read at one revision, and cannot write as many keys as
// etcd accepts, so it is not used; its sessions are.
//
// One watch on all keys tells what every server writes, in order. An Update returns
// when this server's followers have been told of it.
//
// The files are: txn.go (what a transaction reads and writes), commit.go (how it
// takes effect), receipt.go (whether it did, when the answer is lost), watch.go
// (followers), away.go (what happens while etcd does not answer), announce.go (keys
// that end with the process), compact.go (etcd's history), backup.go, and restore.go.
package etcd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"cloudlets/images/pause"
	"cloudlets/provision/store"
)

// DefaultPrefix begins the keys, unless another prefix is given.
const DefaultPrefix = "/cloudlets"

// These bound how long etcd may take.
const (
	// callTimeout bounds one request to etcd. The election of a new leader takes
	// about a second. An Update may take twice as long to fail: after its commit
	// it asks whether that took effect.
	callTimeout = 3 * time.Second
	// seenTimeout bounds how long an Update that is done waits until the watch
	// tells of it.
	seenTimeout = 10 * time.Second
	// keepAlive is how often an idle connection is tried. etcd allows no less
	// than 5 seconds.
	keepAlive = 6 * time.Second
	// retryPause is the pause between tries to reach etcd, and repeatPause the
	// one before a request is made again whose connection broke.
	retryPause  = time.Second
	repeatPause = 20 * time.Millisecond
)

// Options say where the store is.
type Options struct {
	// Endpoints are the URLs of the members of the cluster.
	Endpoints []string
	// TLS is for https endpoints; nil means that of the system.
	TLS *tls.Config
	// User and Password log in, if etcd asks for it.
	User, Password string
	// Prefix begins all keys, "/cloudlets"; "" means [DefaultPrefix].
	Prefix string
	// Log may be nil; then nothing is logged.
	Log *slog.Logger
}

// Store is a [store.Store] in etcd.
type Store struct {
	client *clientv3.Client
	prefix string // with a slash at its end
	log    *slog.Logger

	stop  context.CancelFunc
	tasks *errgroup.Group

	followers store.Followers
	delivered delivered
	outage    outage
	announcer announcer
	receipts  receipts
}

var _ store.Store = (*Store)(nil)

// Open opens the store, and waits for etcd until it answers or ctx ends. Until
// [Store.Close], a few goroutines follow what is written, and keep alive what is
// announced.
func Open(ctx context.Context, o Options) (*Store, error) {
	s, err := connect(ctx, o)
	failed := func(err error) error {
		return fmt.Errorf("open the store in etcd at %s: %w", strings.Join(o.Endpoints, ", "), err)
	}
	if err != nil {
		return nil, failed(err)
	}
	revision, err := s.begin(ctx)
	if err != nil {
		return nil, failed(errors.Join(err, s.client.Close()))
	}
	s.delivered.advance(revision)
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	for _, task := range []func(context.Context) error{s.watch, s.probe, s.keepAnnounced, s.compact} {
		s.tasks.Go(func() error { return task(life) })
	}
	return s, nil
}

// connect makes a store that no goroutine follows yet.
func connect(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	s := &Store{prefix: strings.TrimSuffix(o.Prefix, "/") + "/", log: o.Log, stop: func() {}, tasks: &errgroup.Group{}}
	s.delivered.init()
	s.outage.init()
	s.announcer.init()
	s.receipts.init(s)
	var err error
	s.client, err = clientv3.New(clientv3.Config{
		Context: context.WithoutCancel(ctx), Endpoints: o.Endpoints, TLS: o.TLS, Username: o.User, Password: o.Password,
		DialTimeout: callTimeout, DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: callTimeout, PermitWithoutStream: true,
		Logger: zap.NewNop(), // what matters comes as errors
	})
	return s, err
}

// begin waits for etcd, checks the version of the store, and returns the revision
// from which on it is followed.
func (s *Store) begin(ctx context.Context) (revision int64, err error) {
	var said sync.Once
	for {
		if revision, err = s.upgrade(ctx); err == nil {
			return revision, nil
		}
		if !isAway(err) || ctx.Err() != nil {
			return 0, err
		}
		said.Do(func() { s.log.Warn("etcd does not answer; waiting for it", "error", err) })
		if err := pause.For(ctx, retryPause); err != nil {
			return 0, err
		}
	}
}

func (s *Store) upgrade(ctx context.Context) (revision int64, err error) {
	_, err = s.update(ctx, func(tx store.Tx) error {
		if mark, err := tx.Get(restoreBucket, restoreKey); err != nil || mark != nil {
			return cmp.Or(err, ErrHalfRestored)
		}
		return store.Upgrade(tx)
	})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := s.client.Get(ctx, s.prefix, clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return answer.Header.Revision, nil
}

// Close ends the store's goroutines, and takes back what was announced.
func (s *Store) Close() error {
	s.stop()
	err := s.tasks.Wait()
	if err := errors.Join(err, s.announcer.end(), s.client.Close()); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close the store in etcd: %w", err)
	}
	return nil
}

// Limits implements [store.Store]. They are such that one transaction fits into
// what etcd accepts by default: 128 operations, of which nested ones are counted
// by their depth, and 1.5 MiB.
func (s *Store) Limits() store.Limits {
	return store.Limits{Reads: maxCompares, Writes: 2000, Bytes: 1 << 20, Shared: true}
}

// key is the key of etcd for a key of a bucket.
func (s *Store) key(bucket, key string) string { return s.prefix + bucket + "/" + key }

// split is the inverse of key.
func (s *Store) split(key string) (bucket, rest string) {
	bucket, rest, _ = strings.Cut(strings.TrimPrefix(key, s.prefix), "/")
	return bucket, rest
}
