// Package store keeps what must outlive a server: keys and their values, in
// memory or in a file.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Store keeps what is: states, events, tickets, leases. It is a set of buckets
// of keys with values, changed in transactions: all of one is kept, or none.
//
// One Update runs at a time; a View sees what was there when it began. A
// transaction must not be used after its function has returned, nor begin
// another one.
type Store interface {
	// View runs a function that only reads.
	View(ctx context.Context, read func(Tx) error) error
	// Update runs a function that may write. Its changes are durable once
	// Update has returned nil; where the function returns an error, or
	// Update does, nothing has changed.
	Update(ctx context.Context, write func(Tx) error) error
}

// Tx is one transaction of a [Store]. Buckets come to be when they are written
// to. Keys are 1 to [MaxKey] bytes.
type Tx interface {
	// Get is a copy of a key's value, or nil where the key is absent. A
	// value of no bytes is not nil.
	Get(bucket, key string) ([]byte, error)
	Put(bucket, key string, value []byte) error
	// Delete takes a key away; an absent one is no error.
	Delete(bucket, key string) error
	// Scan visits the keys that begin with prefix and are not less than
	// from, in byte order. The value is valid until visit returns. visit
	// must not write; it ends the scan early with [ErrStopScan].
	Scan(bucket, prefix, from string, visit func(key string, value []byte) error) error
}

// MaxKey is the length of the longest key of a [Store], in bytes.
const MaxKey = 1024

// ErrStopScan is what the function of a [Tx.Scan] returns to end it early. The
// scan itself then returns nil.
var ErrStopScan = errors.New("stop the scan")

// ErrReadOnly is what a write in a [Store.View] returns.
var ErrReadOnly = errors.New("write in a transaction that only reads")

func checkKey(bucket, key string) error {
	if bucket == "" || key == "" || len(key) > MaxKey {
		return fmt.Errorf("write key %.40q of bucket %q: names must have 1 to %d bytes", key, bucket, MaxKey)
	}
	return nil
}

// PutJSON stores a value in its JSON form.
func PutJSON(tx Tx, bucket, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write %s %s: %w", bucket, key, err)
	}
	return tx.Put(bucket, key, text)
}

// GetJSON reads what [PutJSON] stored. An absent key leaves value as it is.
func GetJSON(tx Tx, bucket, key string, value any) (found bool, err error) {
	text, err := tx.Get(bucket, key)
	if err != nil || text == nil {
		return false, err
	}
	if err := json.Unmarshal(text, value); err != nil {
		return false, fmt.Errorf("read %s %s: %w", bucket, key, err)
	}
	return true, nil
}
