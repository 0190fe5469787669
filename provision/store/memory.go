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
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := &memTx{buckets: maps.Clone(s.buckets), changed: make(map[string]bool)}
	if err := write(tx); err != nil {
		return err
	}
	s.buckets = tx.buckets
	return nil
}

// memTx is a transaction. If it writes, it copies each bucket before its first
// change, so that a failed transaction is undone by dropping it.
type memTx struct {
	buckets map[string]map[string][]byte
	changed map[string]bool // nil if the transaction only reads
}

func (tx *memTx) Get(bucket, key string) ([]byte, error) {
	value, ok := tx.buckets[bucket][key]
	if !ok {
		return nil, nil
	}
	return append([]byte{}, value...), nil
}

func (tx *memTx) Put(bucket, key string, value []byte) error {
	if err := checkKey(bucket, key); err != nil {
		return err
	}
	if err := tx.own(bucket); err != nil {
		return err
	}
	tx.buckets[bucket][key] = append([]byte{}, value...)
	return nil
}

func (tx *memTx) Delete(bucket, key string) error {
	if err := tx.own(bucket); err != nil {
		return err
	}
	delete(tx.buckets[bucket], key)
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
