package store

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Memory is a [Store] in memory, for tests and for a server that keeps nothing
// over a restart. The zero value is an empty store.
type Memory struct {
	mu      sync.RWMutex
	buckets map[string]map[string][]byte

	followers Followers
}

var _ Store = (*Memory)(nil)

// View implements [Store].
func (s *Memory) View(ctx context.Context, read func(Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return read(&memTx{buckets: s.buckets})
}

// Update implements [Store].
func (s *Memory) Update(ctx context.Context, write func(Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.followers.Lock()
	defer s.followers.Unlock()
	changes, err := s.write(write)
	if err != nil {
		return err
	}
	s.followers.Tell(changes)
	return nil
}

func (s *Memory) write(write func(Tx) error) ([]Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := &memTx{buckets: maps.Clone(s.buckets), changed: make(map[string]bool)}
	if err := write(tx); err != nil {
		return nil, err
	}
	s.buckets = tx.buckets
	return tx.changes, nil
}

// Limits implements [Store].
func (s *Memory) Limits() Limits { return unlimited }

// Follow implements [Store].
func (s *Memory) Follow(ctx context.Context, f Follower, buckets ...string) (stop func(), err error) {
	s.followers.Lock()
	defer s.followers.Unlock()
	return s.followers.Add(func(load func(Tx) error) error { return s.View(ctx, load) }, f, buckets)
}

// Announce implements [Store].
func (s *Memory) Announce(ctx context.Context, key string, value []byte) error {
	return s.Update(ctx, func(tx Tx) error { return tx.Put(Announced, key, value) })
}

// memTx is a transaction. If it writes, it copies each bucket before its first
// change, so that a failed transaction is undone by dropping it.
type memTx struct {
	buckets map[string]map[string][]byte
	changed map[string]bool // nil if the transaction only reads
	changes []Change
}

func (tx *memTx) Get(bucket, key string) ([]byte, error) {
	value, ok := tx.buckets[bucket][key]
	if !ok {
		return nil, nil
	}
	return append([]byte{}, value...), nil
}

func (tx *memTx) GetEach(bucket string, keys []string) ([][]byte, error) {
	return getEach(tx, bucket, keys)
}

func (tx *memTx) Put(bucket, key string, value []byte) error {
	if err := CheckKey(bucket, key); err != nil {
		return err
	}
	if err := tx.own(bucket); err != nil {
		return err
	}
	copied := append([]byte{}, value...)
	tx.buckets[bucket][key] = copied
	tx.changes = append(tx.changes, Change{bucket, key, copied})
	return nil
}

func (tx *memTx) Delete(bucket, key string) error {
	if err := tx.own(bucket); err != nil {
		return err
	}
	delete(tx.buckets[bucket], key)
	tx.changes = append(tx.changes, Change{bucket, key, nil})
	return nil
}

// own replaces a bucket with a copy that belongs to the transaction.
func (tx *memTx) own(bucket string) error {
	if tx.changed == nil {
		return ErrReadOnly
	}
	if tx.changed[bucket] {
		return nil
	}
	tx.changed[bucket] = true
	if tx.buckets == nil {
		tx.buckets = make(map[string]map[string][]byte)
	}
	copied := maps.Clone(tx.buckets[bucket])
	if copied == nil {
		copied = make(map[string][]byte)
	}
	tx.buckets[bucket] = copied
	return nil
}

func (tx *memTx) Scan(bucket, prefix, from string, visit func(string, []byte) error) error {
	var keys []string
	for key := range tx.buckets[bucket] {
		if key >= from && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		if err := visit(key, tx.buckets[bucket][key]); err == ErrStopScan {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}
