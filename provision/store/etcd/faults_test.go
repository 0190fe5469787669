package etcd_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"cloudlets/provision/store"
	"cloudlets/provision/store/etcd"
	"cloudlets/provision/store/storetest"
	testcluster "cloudlets/testdata/etcd"
)

// line is the network between a client and etcd, which a test can cut.
type line struct {
	l     net.Listener
	to    string
	delay time.Duration // of each packet, in each direction

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	down  bool
	lose  bool // the next answer, and its connection
}

func newLine(t *testing.T, endpoint string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &line{l: l, to: strings.TrimPrefix(endpoint, "http://"), conns: map[net.Conn]struct{}{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(from) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.cut(true)
		serving.Wait()
	})
	return p
}

func (p *line) endpoint() string { return "http://" + p.l.Addr().String() }

func (p *line) serve(from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer to.Close()
	p.mu.Lock()
	if p.down {
		p.mu.Unlock()
		return
	}
	p.conns[from], p.conns[to] = struct{}{}, struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			p.carry(pair[0], pair[1], pair[1] == to)
			from.Close()
			to.Close()
		})
	}
	both.Wait()
	p.mu.Lock()
	delete(p.conns, from)
	delete(p.conns, to)
	p.mu.Unlock()
}

// carry copies what a connection says to another one, until either ends.
func (p *line) carry(to io.Writer, from io.Reader, answers bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil || answers && p.loses() {
			return
		}
		time.Sleep(p.delay)
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// loses says once that an answer is lost, after loseAnswer.
func (p *line) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	lost := p.lose
	p.lose = false
	return lost
}

// loseAnswer loses what etcd says next, and the connection with it.
func (p *line) loseAnswer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose = true
}

// cut breaks all connections. If it stays down, no new ones are possible.
func (p *line) cut(stay bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = stay
	for c := range p.conns {
		c.Close()
	}
}

func (p *line) mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// TestConnectionsAreCut: whenever that happens, each change was made once or not at
// all, what was acknowledged is there, and the followers are told of all of it, in
// order.
func TestConnectionsAreCut(t *testing.T) {
	const writes = 80
	cluster := testcluster.Start(t, 1)
	var lines []*line
	var stores []*etcd.Store
	followers := []*counter{newCounter(t), newCounter(t)}
	for _, f := range followers {
		l := newLine(t, cluster.Endpoints()[0])
		s := openAt(t, etcd.Options{Endpoints: []string{l.endpoint()}, Prefix: "/cut"})
		if _, err := s.Follow(t.Context(), f, "n"); err != nil {
			t.Fatal(err)
		}
		lines, stores = append(lines, l), append(stores, s)
	}
	ctx, stop := context.WithCancel(t.Context())
	var cutting, writing sync.WaitGroup
	cutting.Go(func() {
		for ctx.Err() == nil {
			lines[rand.IntN(2)].cut(false)
			select {
			case <-ctx.Done():
			case <-time.After(rand.N(100 * time.Millisecond)): // the instant is meant to be random
			}
		}
	})
	acknowledged := make([]int, 2)
	for i, s := range stores {
		writing.Go(func() {
			key := string(rune('a' + i))
			for range writes {
				next, err := add(ctx, s, key)
				switch {
				case err == nil && next < acknowledged[i]:
					t.Errorf("%s has %d after %d was acknowledged", key, next, acknowledged[i])
				case err == nil:
					acknowledged[i] = next
				case !errors.Is(err, store.ErrUncertain) && !errors.Is(err, store.ErrAway):
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	stop()
	cutting.Wait()
	for i, s := range stores { // a last one that is certain
		for err := errors.New("not yet"); err != nil; {
			acknowledged[i], err = add(t.Context(), s, string(rune('a'+i)))
		}
	}
	for _, f := range followers {
		f.waitFor("a", acknowledged[0])
		f.waitFor("b", acknowledged[1])
	}
}

// TestAnswersAreLost: while etcd can be reached, a transaction that has lost an
// answer is made exactly once, and does not fail.
func TestAnswersAreLost(t *testing.T) {
	t.Parallel()
	cluster := testcluster.Start(t, 1)
	l := newLine(t, cluster.Endpoints()[0])
	s := openAt(t, etcd.Options{Endpoints: []string{l.endpoint()}, Prefix: "/lost"})
	for i := range 15 {
		tries := 0
		if i%3 == 0 {
			l.loseAnswer() // that of the read
		}
		err := s.Update(t.Context(), func(tx store.Tx) error {
			value, err := tx.Get("b", "n")
			if err != nil {
				return err
			}
			if len(value) != i {
				t.Errorf("in transaction %d, %d were made", i, len(value))
			}
			if tries++; tries == 1 && i%3 == 1 {
				l.loseAnswer() // that of the commit
			} else if tries == 1 && i%3 == 2 {
				l.cut(false) // before the commit
			}
			return tx.Put("b", "n", append(value, '.'))
		})
		if err != nil {
			t.Fatalf("transaction %d: %v", i, err)
		}
	}
}

// TestEtcdHangs: a member that takes connections and does not answer is away, too.
func TestEtcdHangs(t *testing.T) {
	t.Parallel() // most of it is waiting
	cluster := testcluster.Start(t, 1)
	s := open(t, cluster.Endpoints()...)
	seen := newCounter(t)
	if _, err := s.Follow(t.Context(), seen, "n"); err != nil {
		t.Fatal(err)
	}
	last, err := add(t.Context(), s, "k")
	if err != nil {
		t.Fatal(err)
	}
	cluster.Pause(0)
	for since, _ := s.Away(); since.IsZero(); since, _ = s.Away() {
		if _, err := add(t.Context(), s, "k"); !errors.Is(err, store.ErrAway) {
			t.Errorf("while etcd hangs: %v", err)
		}
	}
	cluster.Resume(0)
	next := 0
	for err := store.ErrAway; errors.Is(err, store.ErrAway); {
		if next, err = add(t.Context(), s, "k"); err != nil && !errors.Is(err, store.ErrAway) {
			t.Fatal(err)
		}
	}
	if next != last+1 {
		t.Errorf("%d numbers were written, want %d", next, last+1)
	}
	seen.waitFor("k", next)
}

// TestConformanceOverASlowLine: it takes longer, and all else is the same.
func TestConformanceOverASlowLine(t *testing.T) {
	t.Parallel()
	l := newLine(t, testcluster.Start(t, 1).Endpoints()[0])
	l.delay = time.Millisecond
	storetest.Conformance(t, func(t *testing.T) store.Store { return open(t, l.endpoint()) })
}

// TestAnotherProgramCompacts: etcd may have forgotten the revision that the
// followers know, though nothing was written here since. One who begins to follow
// then sees everything, and the others miss nothing.
func TestAnotherProgramCompacts(t *testing.T) {
	t.Parallel()
	cluster := testcluster.Start(t, 1)
	s := openAt(t, etcd.Options{Endpoints: cluster.Endpoints(), Prefix: "/quiet"})
	next, err := add(t.Context(), s, "k")
	if err != nil {
		t.Fatal(err)
	}
	first, second := newCounter(t), newCounter(t)
	if _, err := s.Follow(t.Context(), first, "n"); err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: cluster.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	now, err := client.Put(t.Context(), "/other", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), now.Header.Revision); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Follow(t.Context(), second, "n"); err != nil {
		t.Fatal(err)
	}
	second.waitFor("k", next)
	if next, err = add(t.Context(), s, "k"); err != nil {
		t.Fatal(err)
	}
	first.waitFor("k", next)
	second.waitFor("k", next)
}

// TestHistoryIsGone: while a server was cut off, etcd forgot what it missed. Its
// followers read everything again.
func TestHistoryIsGone(t *testing.T) {
	t.Parallel() // most of it is waiting
	cluster := testcluster.Start(t, 1)
	l := newLine(t, cluster.Endpoints()[0])
	o := etcd.Options{Endpoints: []string{l.endpoint()}, Prefix: "/gone"}
	behind := openAt(t, o)
	seen := newCounter(t)
	if _, err := behind.Follow(t.Context(), seen, "n"); err != nil {
		t.Fatal(err)
	}
	o.Endpoints = cluster.Endpoints()
	writer := openAt(t, o)
	l.cut(true)
	var next int
	for range 5 {
		var err error
		if next, err = add(t.Context(), writer, "k"); err != nil {
			t.Fatal(err)
		}
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: cluster.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	now, err := client.Get(t.Context(), "/gone")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Compact(t.Context(), now.Header.Revision); err != nil {
		t.Fatal(err)
	}
	l.mend()
	seen.waitFor("k", next)
	if next, err = add(t.Context(), writer, "k"); err != nil {
		t.Fatal(err)
	}
	seen.waitFor("k", next)
	if seen.mu.Lock(); seen.loads != 2 {
		t.Errorf("the follower was loaded %d times", seen.loads)
	}
	seen.mu.Unlock()
}

// announced tells of the bucket of what is announced.
type announced chan store.Change

func (announced) Load(store.Tx) error { return nil }

func (a announced) Apply(changes []store.Change) {
	for _, c := range changes {
		a <- c
	}
}

// TestWhatIsAnnouncedGoesAway: a server that is cut off is gone for the others
// after some seconds, and there again when it is back. One that ends is gone at
// once.
func TestWhatIsAnnouncedGoesAway(t *testing.T) {
	t.Parallel() // most of it is waiting
	cluster := testcluster.Start(t, 1)
	o := etcd.Options{Endpoints: cluster.Endpoints(), Prefix: "/announced"}
	watcher := openAt(t, o)
	told := make(announced, 10)
	if _, err := watcher.Follow(t.Context(), told, store.Announced); err != nil {
		t.Fatal(err)
	}
	l := newLine(t, cluster.Endpoints()[0])
	s, err := etcd.Open(t.Context(), etcd.Options{Endpoints: []string{l.endpoint()}, Prefix: o.Prefix})
	if err != nil {
		t.Fatal(err)
	}
	want := func(value string) {
		t.Helper()
		if c := <-told; c.Key != "me" || string(c.Value) != value || (value == "") != (c.Value == nil) {
			t.Errorf("told of %s=%q, want %q", c.Key, c.Value, value)
		}
	}
	if err := s.Announce(t.Context(), "me", []byte("here")); err != nil {
		t.Fatal(err)
	}
	want("here")
	l.cut(true)
	want("")
	l.mend()
	want("here")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	want("")
}
