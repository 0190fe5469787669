package store

import (
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"
)

// Format is the version of what is in a store's buckets. Whoever changes that in
// a way that an older program would misread counts it up, and adds what upgrades
// a store of the version before.
//
//	1  as it was before stores had a version
//	2  durable events have a bucket of their own; those that are in the other stay there
//	3  the IDs of events are times, see package track
//	4  a machine's record has what it has, and whether its install may wipe: an older
//	   program would write it back without these
const Format = 4

// The place of the version. It is in a bucket of its own, so that no package
// that uses the store comes across it.
const (
	formatBucket = "store"
	formatKey    = "format"
)

// ErrNewer says that a store was written by a newer program.
var ErrNewer = errors.New("the store is of a newer version")

// Upgrade brings a store to the present version, in the transaction with which it
// is opened. A store of a newer version is an [ErrNewer].
func Upgrade(tx Tx) error {
	text, err := tx.Get(formatBucket, formatKey)
	if err != nil {
		return err
	}
	version := 1
	if text != nil {
		if version, err = strconv.Atoi(string(text)); err != nil {
			return fmt.Errorf("read the version of the store: %w", err)
		}
	}
	switch {
	case version > Format:
		return fmt.Errorf("%w (%d, and this program knows %d): use the program that wrote it, or put a backup of before the upgrade in its place with `cloudlets restore`", ErrNewer, version, Format)
	case text != nil && version == Format:
		return nil
	}
	return tx.Put(formatBucket, formatKey, []byte(strconv.Itoa(Format)))
}

// upgrade upgrades a file, and forgets what an earlier process announced.
func upgrade(db *bbolt.DB) error {
	return db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket([]byte(Announced)) != nil {
			if err := tx.DeleteBucket([]byte(Announced)); err != nil {
				return err
			}
		}
		return Upgrade(boltTx{tx, new([]Change)})
	})
}
