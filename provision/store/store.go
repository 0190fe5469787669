// Package store keeps the server's runtime state: machines' states and events, tickets,
// leases, roll-outs, and all else that must outlive the process. A [Store] is a set of buckets of keys and values that are
// changed in transactions ([Tx]). [File] keeps them in one file, [Memory] in
// memory, and package etcd in a cluster that several servers share; package storetest tests
// that each does what this page says.
//
// A file is checked before it is opened ([CheckApart]), has a version ([Format]), and
// can be copied while it is used ([File.Backup]) and put back ([Restore]).
//
// Several servers may share a store. What they must agree on they decide in a
// transaction: it reads what is there, and writes what follows from that. What a
// server has in memory is a copy, which [Store.Follow] keeps up to date with what
// all servers write.
//
// Start reading at [Store]. What is in the buckets belongs to the packages that
// write them, such as track and leases.
package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Store is a set of buckets, which hold keys with values. Transactions change
// them: either all changes of a transaction are kept, or none.
//
// Transactions are serializable: each sees what was there when it began, and takes
// effect as if no other ran meanwhile. Only a key that is deleted while an Update
// scans it may go unnoticed. A function must not use its transaction after it has
// returned, and must not begin another one while it runs.
type Store interface {
	// View runs a function that only reads.
	View(ctx context.Context, read func(Tx) error) error
	// Update runs a function that may write. The function may run several times,
	// when another transaction came in between; so it must do nothing but read and
	// write, and set what it returns anew each time. When Update returns nil, the
	// changes are durable, and the followers of this Store have seen them. If it
	// returns an error, which may be the function's own, nothing has changed,
	// unless the error is an [ErrUncertain].
	//
	// Updates that run at once take effect in any order. Those of which a machine on
	// the network waits for the end should say so with [Urgent].
	//
	// An Update has bounds, see [Limits].
	Update(ctx context.Context, write func(Tx) error) error
	// Limits returns the bounds of an Update.
	Limits() Limits
	// Follow calls f.Load with the present content, and after that f.Apply for
	// each transaction that changes one of the buckets, in their order, whichever
	// server made it, until stop is called. If f.Load fails, so does Follow.
	Follow(ctx context.Context, f Follower, buckets ...string) (stop func(), err error)
	// Announce sets a key of the bucket [Announced], for as long as this Store is
	// open. When it is closed, or its process has died, the key goes away, after
	// some seconds at most. A second call for the same key replaces its value.
	Announce(ctx context.Context, key string, value []byte) error
}

// Follower is told what changes in a store. Its methods are called one at a time.
// They must not use the store, except for the transaction of Load.
type Follower interface {
	// Load reads all that the follower wants to know, and replaces what it knew
	// before. It is called again when some changes could not be seen.
	Load(Tx) error
	// Apply takes the changes of one transaction.
	Apply([]Change)
}

// Change is one key's change.
type Change struct {
	Bucket, Key string
	Value       []byte // nil if the key was deleted; must not be changed
}

// Tx is one transaction of a [Store]. The first write to a bucket makes the
// bucket. Keys have 1 to [MaxKey] bytes.
type Tx interface {
	// Get returns a copy of a key's value, or nil if the key is absent. A
	// value of no bytes is not nil.
	Get(bucket, key string) ([]byte, error)
	// GetEach is Get for several keys at once, which is quicker in a store that is
	// reached over a network.
	GetEach(bucket string, keys []string) ([][]byte, error)
	Put(bucket, key string, value []byte) error
	// Delete removes a key. It is no error if the key is absent.
	Delete(bucket, key string) error
	// Scan calls visit for the keys that begin with prefix and are not less
	// than from, in byte order. The value is valid until visit returns. visit
	// must not write. It can end the scan early with [ErrStopScan].
	Scan(bucket, prefix, from string, visit func(key string, value []byte) error) error
}

// urgentKey is the context's key of [Urgent].
type urgentKey struct{}

// Urgent marks what is done with a context as what a machine on the network waits for,
// which gives up after some seconds: an address, for example. A store in which Updates
// wait for each other makes such an Update before those that wait without a mark, but
// never lets these wait for all of them. Other stores may take no notice.
func Urgent(ctx context.Context) context.Context { return context.WithValue(ctx, urgentKey{}, true) }

func isUrgent(ctx context.Context) bool { return ctx.Value(urgentKey{}) != nil }

// FileName is the name of the server's store in its state folder.
const FileName = "cloudlets.db"

// MaxKey is the length of the longest key of a [Store], in bytes.
const MaxKey = 1024

// Announced is the bucket of [Store.Announce].
const Announced = "announced"

// Limits are the bounds of one [Store.Update].
type Limits struct {
	Reads  int // keys read, and scans
	Writes int // keys written or deleted
	Bytes  int // keys and values written
	// Shared says that other servers may use the store, too.
	Shared bool
}

// unlimited are the limits of a store that belongs to this process.
var unlimited = Limits{Reads: math.MaxInt, Writes: math.MaxInt, Bytes: math.MaxInt}

// ErrUncertain is the error of a [Store.Update] whose changes were made or not: the
// connection to the store ended before it answered, or the context did. It is the
// error, too, if the changes were made, and the followers of this Store could not be
// told of them in time. It is never an [ErrAway].
var ErrUncertain = errors.New("whether the store was changed is not known")

// ErrAway is the error of a transaction of a store that cannot be reached now.
// Nothing has changed.
var ErrAway = errors.New("the store cannot be reached")

// ErrStopScan ends a [Tx.Scan] early if visit returns it. The scan then returns
// nil.
var ErrStopScan = errors.New("stop the scan")

// ErrReadOnly is the error of a write in a [Store.View].
var ErrReadOnly = errors.New("write in a transaction that only reads")

// CheckKey refuses a key that no store takes.
func CheckKey(bucket, key string) error {
	if bucket == "" || key == "" || len(key) > MaxKey {
		return fmt.Errorf("write key %.40q of bucket %q: names must have 1 to %d bytes", key, bucket, MaxKey)
	}
	return nil
}

// getEach is [Tx.GetEach] for a store in which each Get is quick.
func getEach(tx Tx, bucket string, keys []string) ([][]byte, error) {
	values := make([][]byte, len(keys))
	for i, key := range keys {
		value, err := tx.Get(bucket, key)
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
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
