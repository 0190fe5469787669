// Package book keeps roll-outs in a store, and knows them from memory, which follows what
// all servers write. What two servers must agree on is decided in a transaction: which one
// carries a roll-out on ([Book.Claim]), that a machine is in one roll-out at a time
// ([Book.Create]), and that each step of a machine is made once ([Book.Record]).
//
// Start reading at [Open].
package book

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/store"
)

// The buckets. Orders and statuses have the name of the roll-out as key. Steps are kept
// together for [chunk] machines, "r12/003", so that a step costs the same in every roll-out,
// and a roll-out can be removed in one transaction.
const (
	orderBucket  = "rollouts"
	statusBucket = "rollout-status"
	stepBucket   = "rollout-steps"
	lastBucket   = "rollout-last"
	lastKey      = "last" // the number of the latest roll-out

	chunk = 64
)

// Book has the roll-outs of a store. Its methods may be called by several goroutines.
type Book struct {
	store store.Store
	log   *slog.Logger
	stop  func()
	kick  chan struct{}

	mu  sync.Mutex
	all map[string]*rollout.Rollout
	// in has the roll-outs that have not ended, by their machines. It is read without mu,
	// for each change of each machine, and written with it.
	in sync.Map
}

var _ store.Follower = (*Book)(nil)

// Open reads the roll-outs of a store, and follows it until [Book.Close].
func Open(ctx context.Context, s store.Store, log *slog.Logger) (*Book, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b := &Book{store: s, log: log, kick: make(chan struct{}, 1), all: make(map[string]*rollout.Rollout)}
	var err error
	if b.stop, err = s.Follow(ctx, b, orderBucket, statusBucket, stepBucket); err != nil {
		return nil, fmt.Errorf("read the roll-outs: %w", err)
	}
	return b, nil
}

// Close ends what Open began.
func (b *Book) Close() { b.stop() }

// Changed gets an element after roll-outs have changed. It is for one reader.
func (b *Book) Changed() <-chan struct{} { return b.kick }

// Get returns a copy of a roll-out, or nil if there is none of that name.
func (b *Book) Get(name string) *rollout.Rollout {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.all[name]; r != nil {
		return r.Clone()
	}
	return nil
}

// Head is a roll-out without its machines' steps, but counted.
type Head struct {
	rollout.Order
	rollout.Status
	Counts map[rollout.Phase]int
}

// HeadOf is the head of a roll-out.
func HeadOf(r *rollout.Rollout) Head {
	h := Head{Order: r.Order, Status: r.Status, Counts: make(map[rollout.Phase]int)}
	for _, p := range []rollout.Phase{rollout.Waiting, rollout.Armed, rollout.Good, rollout.Bad} {
		h.Counts[p] = r.Count(p)
	}
	return h
}

// List returns all roll-outs that are kept, the latest first.
func (b *Book) List() []Head {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]Head, 0, len(b.all))
	for _, r := range b.all {
		list = append(list, HeadOf(r))
	}
	slices.SortFunc(list, func(a, b Head) int { return cmp.Compare(number(b.Name), number(a.Name)) })
	return list
}

// Unfinished are the names of the roll-outs that have not ended, the earliest first.
func (b *Book) Unfinished() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for name, r := range b.all {
		if r.Phase != rollout.Ended {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(number(a), number(b)) })
	return names
}

// Look calls a function with a roll-out as it is in memory, unless there is none of that
// name. The function must be quick, must not change the roll-out, and must not use the book.
func (b *Book) Look(name string, at func(*rollout.Rollout)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.all[name]; r != nil {
		at(r)
	}
}

// Of are the roll-outs of a machine that have not ended. The list must not be changed. Of
// waits for nobody.
func (b *Book) Of(mac provision.MAC) []string {
	names, _ := b.in.Load(mac)
	list, _ := names.([]string)
	return list
}

// number is the number in a roll-out's name.
func number(name string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(name, "r"))
	return n
}

// Load implements [store.Follower].
func (b *Book) Load(tx store.Tx) error {
	var changes []store.Change
	for _, bucket := range []string{orderBucket, statusBucket, stepBucket} {
		err := tx.Scan(bucket, "", "", func(key string, value []byte) error {
			changes = append(changes, store.Change{Bucket: bucket, Key: key, Value: slices.Clone(value)})
			return nil
		})
		if err != nil {
			return err
		}
	}
	b.mu.Lock()
	clear(b.all)
	b.in.Clear()
	b.mu.Unlock()
	b.Apply(changes)
	return nil
}

// Apply implements [store.Follower].
func (b *Book) Apply(changes []store.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bucket := range []string{orderBucket, statusBucket, stepBucket} { // each stands on those before
		for _, c := range changes {
			if c.Bucket != bucket {
				continue
			}
			if err := b.apply(c); err != nil {
				b.log.Error("a roll-out cannot be read", "bucket", c.Bucket, "key", c.Key, "error", err)
			}
		}
	}
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// apply takes over one change. The caller holds mu.
func (b *Book) apply(c store.Change) error {
	name, _, _ := strings.Cut(c.Key, "/")
	r := b.all[name]
	switch {
	case c.Value == nil && c.Bucket == orderBucket:
		b.index(r, false)
		delete(b.all, name)
	case c.Value == nil:
	case c.Bucket == orderBucket:
		var o rollout.Order
		if err := json.Unmarshal(c.Value, &o); err != nil {
			return err
		}
		if err := o.Check(); err != nil {
			return err
		}
		b.all[name] = rollout.New(o, rollout.Status{})
	case r == nil: // it was removed, or cannot be read
	case c.Bucket == statusBucket:
		was := r.Phase
		var s rollout.Status
		if err := json.Unmarshal(c.Value, &s); err != nil {
			return err
		}
		r.Status = s
		if open := s.Phase != rollout.Ended; open != (was != "" && was != rollout.Ended) {
			b.index(r, open)
		}
	default:
		var steps map[provision.MAC]rollout.Step
		if err := json.Unmarshal(c.Value, &steps); err != nil {
			return err
		}
		for mac, s := range steps {
			r.Put(mac, s)
		}
	}
	return nil
}

// index adds the machines of a roll-out to those that are looked at, or removes them. The
// caller holds mu.
func (b *Book) index(r *rollout.Rollout, open bool) {
	if r == nil {
		return
	}
	for _, mac := range r.Machines {
		names := slices.DeleteFunc(slices.Clone(b.Of(mac)), func(name string) bool { return name == r.Name })
		if open {
			names = append(names, r.Name)
		}
		if len(names) == 0 {
			b.in.Delete(mac)
			continue
		}
		b.in.Store(mac, names)
	}
}
