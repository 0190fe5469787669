// Package store keeps the server's runtime state: machines' states, events,
// tickets and leases. A [Store] is a set of buckets of keys and values that are
// changed in transactions ([Tx]). [File] keeps them in one file, [Memory] in
// memory; package storetest tests that both do what this page says.
//
// A file is checked before it is opened ([CheckApart]), has a version ([Format]), and
// can be copied while it is used ([File.Backup]) and put back ([Restore]).
//
// A store has one server. The tracker and the DHCP server's table read it when they
// start; from then on their memory counts, and they only write. Several servers
// that share a store need more than this interface has: a claim that compares, and
// a way to see what others write.
//
// Start reading at [Store]. What is in the buckets belongs to the packages that
// write them, such as track and leases.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Store is a set of buckets, which hold keys with values. Transactions change
// them: either all changes of a transaction are kept, or none.
//
// Only one Update of a Store runs at a time. A View sees what was there when it began. A
// function must not use its transaction after it has returned, and must not
// begin another one while it runs.
type Store interface {
	// View runs a function that only reads.
	View(ctx context.Context, read func(Tx) error) error
	// Update runs a function that may write. When Update returns nil, the
	// changes are durable. If Update returns an error, which may be the
	// function's own, nothing has changed.
	Update(ctx context.Context, write func(Tx) error) error
}

// Tx is one transaction of a [Store]. The first write to a bucket makes the
// bucket. Keys have 1 to [MaxKey] bytes.
type Tx interface {
	// Get returns a copy of a key's value, or nil if the key is absent. A
	// value of no bytes is not nil.
	Get(bucket, key string) ([]byte, error)
	Put(bucket, key string, value []byte) error
	// Delete removes a key. It is no error if the key is absent.
	Delete(bucket, key string) error
	// Scan calls visit for the keys that begin with prefix and are not less
	// than from, in byte order. The value is valid until visit returns. visit
	// must not write. It can end the scan early with [ErrStopScan].
	Scan(bucket, prefix, from string, visit func(key string, value []byte) error) error
}

// FileName is the name of the server's store in its state folder.
const FileName = "cloudlets.db"

// MaxKey is the length of the longest key of a [Store], in bytes.
const MaxKey = 1024

// ErrStopScan ends a [Tx.Scan] early if visit returns it. The scan then returns
// nil.
var ErrStopScan = errors.New("stop the scan")

// ErrReadOnly is the error of a write in a [Store.View].
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
