package store

import (
	"context"
	"fmt"

	"go.etcd.io/bbolt"
)

// Walk calls visit for each key of each bucket as they are at one instant, in
// byte order. The value is valid until visit returns. visit must not write to
// the store. Walk ends with the first error of visit, or when ctx ends.
func (s *File) Walk(ctx context.Context, visit func(bucket, key string, value []byte) error) error {
	err := s.db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			return bucket.ForEach(func(key, value []byte) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return visit(string(name), string(key), value)
			})
		})
	})
	if err != nil {
		return fmt.Errorf("read store %s: %w", s.db.Path(), err)
	}
	return nil
}
