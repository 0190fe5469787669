package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	clientv3 "go.etcd.io/etcd/client/v3"

	"cloudlets/provision/store"
)

// Backup writes a copy of the store as it is at one instant. The copy is a store
// file, as [store.File.Backup] writes it. The store can be used meanwhile.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	if err := (&txn{store: s, ctx: ctx}).backup(w); err != nil {
		return fmt.Errorf("back up the store in etcd: %w", err)
	}
	return nil
}

// backup writes a copy of what a transaction sees.
func (t *txn) backup(w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "cloudlets-backup-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file, err := store.OpenFile(filepath.Join(dir, store.FileName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := t.copyTo(file); err != nil {
		return err
	}
	return file.Backup(t.ctx, w)
}

// keyValue is a key of a bucket, with its value.
type keyValue struct {
	bucket, key string
	value       []byte
}

// copyTo copies to another store.
func (t *txn) copyTo(to store.Store) error {
	var waiting []keyValue
	flush := func() error {
		err := to.Update(t.ctx, func(tx store.Tx) error {
			for _, kv := range waiting {
				if err := tx.Put(kv.bucket, kv.key, kv.value); err != nil {
					return err
				}
			}
			return nil
		})
		waiting = waiting[:0]
		return err
	}
	err := t.eachShared(func(bucket, key string, value []byte) error {
		if waiting = append(waiting, keyValue{bucket, key, value}); len(waiting) < pageSize {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// eachShared visits all keys, except for those that belong to this form of a store
// alone.
func (t *txn) eachShared(visit func(bucket, key string, value []byte) error) error {
	return t.pages(t.store.prefix, clientv3.GetPrefixRangeEnd(t.store.prefix), func(full string, value []byte) error {
		switch bucket, key := t.store.split(full); bucket {
		case store.Announced, compactBucket, receiptBucket, restoreBucket:
			return nil
		default:
			return visit(bucket, key, value)
		}
	})
}
