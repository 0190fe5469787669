package etcd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"cloudlets/provision/store"
	"cloudlets/provision/store/etcd"
	"cloudlets/provision/store/storetest"
	testcluster "cloudlets/testdata/etcd"
)

var prefixes atomic.Int64

// open opens a store that nothing else uses.
func open(t *testing.T, endpoints ...string) *etcd.Store {
	t.Helper()
	return openAt(t, etcd.Options{Endpoints: endpoints, Prefix: fmt.Sprint("/test/", prefixes.Add(1))})
}

func openAt(t *testing.T, o etcd.Options) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	cluster := testcluster.Start(t, 1)
	storetest.Conformance(t, func(t *testing.T) store.Store { return open(t, cluster.Endpoints()...) })
}

// TestConformanceWithConflicts: each transaction loses against another one at
// least once.
func TestConformanceWithConflicts(t *testing.T) {
	t.Parallel()
	cluster := testcluster.Start(t, 1)
	storetest.Conformance(t, func(t *testing.T) store.Store {
		prefix := fmt.Sprint("/test/", prefixes.Add(1))
		o := etcd.Options{Endpoints: cluster.Endpoints(), Prefix: prefix}
		return &contested{Store: openAt(t, o), other: openAt(t, o)}
	})
}

// contested is a store in which another server changes what a transaction read,
// before its first commit.
type contested struct {
	*etcd.Store
	other *etcd.Store
	n     atomic.Int64
}

func (c *contested) Update(ctx context.Context, write func(store.Tx) error) error {
	tries := 0
	return c.Store.Update(ctx, func(tx store.Tx) error {
		if _, err := tx.Get("contest", "key"); err != nil {
			return err
		}
		if err := write(tx); err != nil {
			return err
		}
		if tries++; tries > 1 {
			return nil
		}
		return c.other.Update(ctx, func(tx store.Tx) error {
			return tx.Put("contest", "key", fmt.Append(nil, c.n.Add(1)))
		})
	})
}

// Limits leave room for the key of the contest.
func (c *contested) Limits() store.Limits {
	l := c.Store.Limits()
	l.Reads, l.Writes = l.Reads-1, l.Writes-1
	return l
}

// TestTransactionsThatAreTooLarge are refused, and change nothing.
func TestTransactionsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	s := open(t, testcluster.Start(t, 1).Endpoints()...)
	limits := s.Limits()
	for what, write := range map[string]func(store.Tx) error{
		"too many reads": func(tx store.Tx) error {
			for i := range limits.Reads + 1 {
				if _, err := tx.Get("b", fmt.Sprint(i)); err != nil {
					return err
				}
			}
			return tx.Put("b", "k", nil)
		},
		"too many writes": func(tx store.Tx) error {
			for i := range limits.Writes + 1 {
				if err := tx.Put("b", fmt.Sprint(i), nil); err != nil {
					return err
				}
			}
			return nil
		},
		"too many bytes": func(tx store.Tx) error { return tx.Put("b", "k", make([]byte, limits.Bytes)) },
	} {
		if err := s.Update(t.Context(), write); err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("%s: %v", what, err)
		}
	}
	n := 0
	err := s.View(t.Context(), func(tx store.Tx) error {
		return tx.Scan("b", "", "", func(string, []byte) error { n++; return nil })
	})
	if n > 0 || err != nil {
		t.Errorf("%d keys were written, %v", n, err)
	}
}

// TestNewerFormat: a store of a newer program is refused.
func TestNewerFormat(t *testing.T) {
	t.Parallel()
	cluster := testcluster.Start(t, 1)
	const prefix = "/newer"
	s := openAt(t, etcd.Options{Endpoints: cluster.Endpoints(), Prefix: prefix})
	if err := s.Update(t.Context(), func(tx store.Tx) error {
		return tx.Put("store", "format", fmt.Append(nil, store.Format+1))
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Open(t.Context(), etcd.Options{Endpoints: cluster.Endpoints(), Prefix: prefix}); !errors.Is(err, store.ErrNewer) {
		t.Errorf("got %v", err)
	}
}

// counter is a follower that adds up what is written, and checks the order.
type counter struct {
	t     *testing.T
	mu    sync.Mutex
	loads int
	next  map[string]int // the number that each writer writes next
	grew  chan struct{}
}

func newCounter(t *testing.T) *counter {
	return &counter{t: t, next: map[string]int{}, grew: make(chan struct{}, 1)}
}

func (c *counter) Load(tx store.Tx) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loads++
	clear(c.next)
	err := tx.Scan("n", "", "", func(key string, value []byte) error {
		var n int
		_, err := fmt.Sscan(string(value), &n)
		c.next[key] = n + 1
		return err
	})
	c.tell()
	return err
}

func (c *counter) tell() {
	select {
	case c.grew <- struct{}{}:
	default:
	}
}

func (c *counter) Apply(changes []store.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, change := range changes {
		var n int
		if fmt.Sscan(string(change.Value), &n); n != c.next[change.Key] {
			c.t.Errorf("the follower is told of %s=%d and expects %d", change.Key, n, c.next[change.Key])
		}
		c.next[change.Key] = n + 1
	}
	c.tell()
}

// waitFor waits until a writer's numbers below n have been told.
func (c *counter) waitFor(key string, n int) {
	c.t.Helper()
	for {
		c.mu.Lock()
		have := c.next[key]
		c.mu.Unlock()
		if have >= n {
			return
		}
		select {
		case <-c.grew:
		case <-c.t.Context().Done():
			c.t.Fatal("the test ended")
		}
	}
}

// add writes the numbers from a writer's last one on, until one cannot be written
// for certain. It returns the next number, and the error.
func add(ctx context.Context, s store.Store, key string) (next int, err error) {
	err = s.Update(ctx, func(tx store.Tx) error {
		value, err := tx.Get("n", key)
		if err != nil {
			return err
		}
		next = 0
		if value != nil {
			if _, err := fmt.Sscan(string(value), &next); err != nil {
				return err
			}
			next++
		}
		return tx.Put("n", key, fmt.Append(nil, next))
	})
	return next + 1, err
}

// TestAMemberIsLost: while one of three members of etcd is killed, nothing is lost
// that was acknowledged, and another server is told of all of it.
func TestAMemberIsLost(t *testing.T) {
	cluster := testcluster.Start(t, 3)
	o := etcd.Options{Endpoints: cluster.Endpoints(), Prefix: "/lost"}
	a, b := openAt(t, o), openAt(t, o)
	seen := newCounter(t)
	if _, err := b.Follow(t.Context(), seen, "n"); err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for i := range 60 {
		if i == 20 {
			cluster.Kill(0)
		}
		if i == 40 {
			cluster.Restart(0)
		}
		next, err := add(t.Context(), a, "k")
		switch {
		case err == nil:
			acknowledged = next
		case !errors.Is(err, store.ErrUncertain) && !errors.Is(err, store.ErrAway):
			t.Fatal(err)
		}
	}
	if acknowledged == 0 {
		t.Fatal("nothing was written")
	}
	seen.waitFor("k", acknowledged)
}

// TestEtcdIsAway: nothing waits for it for long, and all goes on when it is back.
func TestEtcdIsAway(t *testing.T) {
	t.Parallel() // most of it is waiting
	cluster := testcluster.Start(t, 1)
	var log lockedBuffer
	s := openAt(t, etcd.Options{Endpoints: cluster.Endpoints(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	seen := newCounter(t)
	if _, err := s.Follow(t.Context(), seen, "n"); err != nil {
		t.Fatal(err)
	}
	if err := s.Announce(t.Context(), "me", []byte("here")); err != nil {
		t.Fatal(err)
	}
	last, err := add(t.Context(), s, "k")
	if err != nil {
		t.Fatal(err)
	}
	cluster.Kill(0)
	err = s.Update(t.Context(), func(tx store.Tx) error { return tx.Put("b", "k", nil) })
	if errors.Is(err, store.ErrUncertain) == errors.Is(err, store.ErrAway) { // it has read nothing, so it may find out when it commits
		t.Errorf("an update is %v", err)
	}
	for err == nil || !errors.Is(err, store.ErrAway) {
		_, err = add(t.Context(), s, "k")
	}
	for since, _ := s.Away(); since.IsZero(); since, _ = s.Away() {
		add(t.Context(), s, "k")
	}
	if err := s.View(t.Context(), func(store.Tx) error { t.Error("called"); return nil }); !errors.Is(err, store.ErrAway) {
		t.Errorf("a view: %v", err)
	}
	cluster.Restart(0)
	cluster.WaitReady()
	next := 0
	for next <= last {
		if next, err = add(t.Context(), s, "k"); err != nil {
			next = 0
		}
	}
	seen.waitFor("k", next)
	if got := log.String(); strings.Count(got, "etcd does not answer") != 1 || strings.Count(got, "etcd answers again") != 1 {
		t.Errorf("the log says\n%s", got)
	}
}

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
