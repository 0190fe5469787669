package track

import (
	"context"
	"crypto/rand"
	"fmt"

	"cloudlets/provision/store"
)

const (
	siteKey      = "key" // in the bucket meta
	siteKeyBytes = 32
)

// SiteKey returns the site's own secret, and makes it if the store has none. All servers
// that share the store have the same.
func SiteKey(ctx context.Context, s store.Store) (key []byte, err error) {
	fresh := make([]byte, siteKeyBytes)
	rand.Read(fresh) // it never fails
	err = s.View(ctx, func(tx store.Tx) error {
		_, err := store.GetJSON(tx, metaBucket, siteKey, &key)
		return err
	})
	if err == nil && len(key) == 0 {
		err = s.Update(ctx, func(tx store.Tx) error {
			key = fresh
			if found, err := store.GetJSON(tx, metaBucket, siteKey, &key); found || err != nil {
				return err
			}
			return store.PutJSON(tx, metaBucket, siteKey, fresh)
		})
	}
	if err == nil && len(key) < siteKeyBytes {
		err = fmt.Errorf("it has %d bytes, want %d", len(key), siteKeyBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("read the site's secret key: %w", err)
	}
	return key, nil
}

// Key is the site's own secret, see [SiteKey] and [provision.Spec.ConfigMark].
func (t *Tracker) Key() []byte { return t.key }
