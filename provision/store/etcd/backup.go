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
	if err := s.backup(ctx, w); err != nil {
		return fmt.Errorf("back up the store in etcd: %w", err)
	}
	return nil
}

func (s *Store) backup(ctx context.Context, w io.Writer) (err error) {
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
	if err := s.copyTo(ctx, file); err != nil {
		return err
	}
	return file.Backup(ctx, w)
}

// keyValue is a key of a bucket, with its value.
type keyValue struct {
	bucket, key string
	value       []byte
}

// copyTo copies all keys to another store, except for those that belong to this
// one alone.
func (s *Store) copyTo(ctx context.Context, to store.Store) error {
	var waiting []keyValue
	flush := func() error {
		err := to.Update(ctx, func(tx store.Tx) error {
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
	t := &txn{store: s, ctx: ctx}
	err := t.pages(s.prefix, clientv3.GetPrefixRangeEnd(s.prefix), func(full string, value []byte) error {
		bucket, key := s.split(full)
		if bucket == store.Announced || bucket == compactBucket || bucket == receiptBucket {
			return nil
		}
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
