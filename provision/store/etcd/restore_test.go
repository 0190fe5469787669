package etcd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/provision/store"
	"cloudlets/provision/store/etcd"
	testcluster "cloudlets/testdata/etcd"
)

// restoredKeys is how many keys a test restores: some pages.
const restoredKeys = 1300

// content is a file store with some pages of keys.
func content(t *testing.T) *store.File {
	t.Helper()
	file, err := store.OpenFile(filepath.Join(t.TempDir(), store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	err = file.Update(t.Context(), func(tx store.Tx) error {
		for i := range restoredKeys {
			if err := tx.Put(fmt.Sprint("b", i%3), fmt.Sprintf("key/%d", i), fmt.Append(nil, "new ", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// fillOld puts into a store what a restore has to remove.
func fillOld(t *testing.T, s store.Store) {
	t.Helper()
	err := s.Update(t.Context(), func(tx store.Tx) error {
		for i := range 1100 {
			if err := tx.Put([]string{"a", "b0", "z"}[i%3], fmt.Sprintf("old/%d", i), []byte("old")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantRestored opens a store, and checks that it has the content, and nothing
// else.
func wantRestored(t *testing.T, o etcd.Options) {
	t.Helper()
	s, err := etcd.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	found := 0
	err = s.View(t.Context(), func(tx store.Tx) error {
		for _, bucket := range []string{"a", "b0", "b1", "b2", "z"} {
			err := tx.Scan(bucket, "", "", func(key string, value []byte) error {
				found++
				var i int
				if _, err := fmt.Sscanf(key, "key/%d", &i); err != nil || string(value) != fmt.Sprint("new ", i) || bucket != fmt.Sprint("b", i%3) {
					return fmt.Errorf("%s has %s: %q", bucket, key, value)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || found != restoredKeys {
		t.Errorf("found %d keys of %d: %v", found, restoredKeys, err)
	}
	if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Put("b0", "more", nil) }); err != nil {
		t.Errorf("the restored store takes no write: %v", err)
	}
}

// TestRestoreBrokenOff: after each write at which a restore can be killed, no server
// opens the store, and a server that has it open writes nothing; a further restore
// makes it whole. After the last write it is whole.
func TestRestoreBrokenOff(t *testing.T) {
	t.Parallel()
	endpoints, file := testcluster.Start(t, 1).Endpoints(), content(t)
	at := 1
	for ; brokenOff(t, etcd.Options{Endpoints: endpoints, Prefix: fmt.Sprint("/test/broken/", at)}, file, at); at++ {
	}
	if at != 8 { // the mark, three pages removed, three pages written, no mark
		t.Errorf("the restore was whole after %d writes", at)
	}
}

// brokenOff breaks off a restore at a write, and returns whether the store was half
// restored then.
func brokenOff(t *testing.T, o etcd.Options, file *store.File, at int) bool {
	t.Helper()
	running := openAt(t, o)
	fillOld(t, running)
	writes, killed := 0, errors.New("killed")
	err := etcd.Restore(t.Context(), o, file, etcd.Restoring{
		Keep: func(write func(io.Writer) error) error { return write(io.Discard) },
		Written: func() error {
			if writes++; writes == at {
				return killed
			}
			return nil
		},
	})
	if !errors.Is(err, killed) {
		t.Fatalf("broken off at write %d: %v", at, err)
	}
	opened, err := etcd.Open(t.Context(), o)
	if err == nil {
		opened.Close()
		wantRestored(t, o)
		return false
	}
	if !errors.Is(err, etcd.ErrHalfRestored) || !strings.Contains(err.Error(), "run `cloudlets restore` with the backup again") {
		t.Fatalf("after write %d a server says: %v", at, err)
	}
	err = running.Update(t.Context(), func(tx store.Tx) error { return tx.Put("a", "stray", nil) })
	if !errors.Is(err, etcd.ErrHalfRestored) {
		t.Errorf("a server wrote to a half restored store: %v", err)
	}
	if err := running.Announce(t.Context(), "me", nil); !errors.Is(err, etcd.ErrHalfRestored) {
		t.Errorf("a server announced itself in a half restored store: %v", err)
	}
	if err := etcd.Restore(t.Context(), o, file, etcd.Restoring{}); err != nil {
		t.Errorf("restored again after write %d: %v", at, err)
	}
	wantRestored(t, o)
	return true
}

// TestRestoreReplaces: what is there is replaced only if its copy is kept, and never
// if it is refused.
func TestRestoreReplaces(t *testing.T) {
	t.Parallel()
	o := etcd.Options{Endpoints: testcluster.Start(t, 1).Endpoints(), Prefix: "/test/replaced"}
	file := content(t)
	s := openAt(t, o)
	other := openAt(t, etcd.Options{Endpoints: o.Endpoints, Prefix: "/test/replaced2"})
	fillOld(t, s)
	fillOld(t, other)
	if err := etcd.Restore(t.Context(), o, file, etcd.Restoring{}); !errors.Is(err, etcd.ErrNotEmpty) || !strings.Contains(err.Error(), "1101 keys under /test/replaced") {
		t.Errorf("restored over another store: %v", err)
	}
	refused := errors.New("refused")
	var copied bytes.Buffer
	how := etcd.Restoring{
		Refuse: func(store.Tx) error { return refused },
		Keep:   func(write func(io.Writer) error) error { return write(&copied) },
	}
	if err := etcd.Restore(t.Context(), o, file, how); !errors.Is(err, refused) || copied.Len() > 0 {
		t.Errorf("restored what was refused: %v", err)
	}
	// A server that writes while the copy is made would lose that.
	how.Refuse = func(tx store.Tx) error {
		if _, err := tx.Get("a", "x"); err != nil {
			return err
		}
		return s.Update(t.Context(), func(tx store.Tx) error { return tx.Put("a", "old/x", []byte("old")) })
	}
	if err := etcd.Restore(t.Context(), o, file, how); err == nil || !strings.Contains(err.Error(), "stop all servers that use it") {
		t.Errorf("restored beside a server that writes: %v", err)
	}
	how.Refuse = nil
	copied.Reset()
	if err := etcd.Restore(t.Context(), o, file, how); err != nil {
		t.Fatal(err)
	}
	wantRestored(t, o)
	kept := 0
	count := func(_ string, value []byte) error {
		if string(value) == "old" {
			kept++
		}
		return nil
	}
	if err := openCopy(t, copied.Bytes()).View(t.Context(), func(tx store.Tx) error { return tx.Scan("a", "", "", count) }); err != nil || kept != 368 {
		t.Errorf("the copy has %d keys in bucket a: %v", kept, err)
	}
	kept = 0
	if err := other.View(t.Context(), func(tx store.Tx) error { return tx.Scan("a", "", "", count) }); err != nil || kept != 367 {
		t.Errorf("the restore touched a store under a similar prefix: %d keys, %v", kept, err)
	}
}

// TestRestoreTwiceAtOnce: when a restore overtakes another, that one ends, and the
// store has what the last one wrote.
func TestRestoreTwiceAtOnce(t *testing.T) {
	t.Parallel()
	o := etcd.Options{Endpoints: testcluster.Start(t, 1).Endpoints(), Prefix: "/test/twice"}
	file, writes := content(t), 0
	err := etcd.Restore(t.Context(), o, file, etcd.Restoring{Written: func() error {
		if writes++; writes == 2 {
			return etcd.Restore(t.Context(), o, file, etcd.Restoring{})
		}
		return nil
	}})
	if err == nil || !strings.Contains(err.Error(), "another restore has begun") {
		t.Errorf("two restores at once: %v", err)
	}
	wantRestored(t, o)
}

// TestRestoreRefusesContent: content that etcd would not take changes nothing.
func TestRestoreRefusesContent(t *testing.T) {
	t.Parallel()
	o := etcd.Options{Endpoints: testcluster.Start(t, 1).Endpoints(), Prefix: "/test/content"}
	file := content(t)
	if err := file.Update(t.Context(), func(tx store.Tx) error { return tx.Put("z", "large", make([]byte, 2<<20)) }); err != nil {
		t.Fatal(err)
	}
	if err := etcd.Restore(t.Context(), o, file, etcd.Restoring{}); err == nil || !strings.Contains(err.Error(), "too large for a shared store") {
		t.Errorf("restored what does not fit: %v", err)
	}
	openAt(t, o) // it is not marked
}
