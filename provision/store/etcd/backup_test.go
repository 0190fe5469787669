package etcd_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"cloudlets/provision/store"
	testcluster "cloudlets/testdata/etcd"
)

// TestBackup: a backup is a store file with all that was there, and with nothing of
// the servers that were alive.
func TestBackup(t *testing.T) {
	t.Parallel()
	s := open(t, testcluster.Start(t, 1).Endpoints()...)
	const keys = 1300 // some pages
	for part := range keys / 100 {
		err := s.Update(t.Context(), func(tx store.Tx) error {
			for i := range 100 {
				if err := tx.Put(fmt.Sprint("b", i%3), fmt.Sprintf("key/%d", part*100+i), []byte{byte(part), byte(i)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Announce(t.Context(), "me", nil); err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := s.Backup(t.Context(), &text); err != nil {
		t.Fatal(err)
	}
	file := openCopy(t, text.Bytes())
	err := file.View(t.Context(), func(tx store.Tx) error {
		for i := range keys {
			value, err := tx.Get(fmt.Sprint("b", i%100%3), fmt.Sprintf("key/%d", i))
			if err != nil || !bytes.Equal(value, []byte{byte(i / 100), byte(i % 100)}) {
				t.Errorf("key %d is %v, %v", i, value, err)
			}
		}
		if value, err := tx.Get(store.Announced, "me"); value != nil || err != nil {
			t.Errorf("the backup has what was announced: %q, %v", value, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// openCopy opens a backup, which must be a whole store file.
func openCopy(t *testing.T, text []byte) *store.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := store.Check(path); err != nil {
		t.Fatal(err)
	}
	file, err := store.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}
