package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"cloudlets/provision/store"
)

// seesItsOwnWrites scans what is there already, with the transaction's own changes.
func seesItsOwnWrites(t *testing.T, s store.Store) {
	put(t, s, "a", "old", "c", "old", "e", "old")
	update(t, s, func(tx store.Tx) error {
		err := errors.Join(tx.Put("b", "b", []byte("new")), tx.Put("b", "c", []byte("new")), tx.Delete("b", "e"), tx.Put("b", "f", []byte("new")))
		if v, getErr := tx.Get("b", "e"); v != nil || getErr != nil {
			t.Errorf("a key that was deleted is %q, %v", v, getErr)
		}
		for limit, want := range map[int]string{9: "a=old b=new c=new f=new", 2: "a=old b=new", 4: "a=old b=new c=new f=new"} {
			var got []string
			err = errors.Join(err, tx.Scan("b", "", "", func(key string, value []byte) error {
				if got = append(got, fmt.Sprintf("%s=%s", key, value)); len(got) == limit {
					return store.ErrStopScan
				}
				return nil
			}))
			if text := strings.Join(got, " "); text != want {
				t.Errorf("a scan of %d keys: %q, want %q", limit, text, want)
			}
		}
		return err
	})
}

// scansMany scans more than a store reads at once, and goes on in the middle.
func scansMany(t *testing.T, s store.Store) {
	const keys, each = 1203, 401
	for begin := 0; begin < keys; begin += each {
		update(t, s, func(tx store.Tx) error {
			for i := begin; i < begin+each; i++ {
				if err := tx.Put("b", fmt.Sprintf("%04d", i), nil); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := s.View(t.Context(), func(tx store.Tx) error {
		next := 600
		err := tx.Scan("b", "", "0600", func(key string, _ []byte) error {
			if want := fmt.Sprintf("%04d", next); key != want {
				t.Errorf("the scan has %s, want %s", key, want)
			}
			next++
			return nil
		})
		if next != keys {
			t.Errorf("the scan ended before %d", next)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// serialisesScans lets each update write a key that is named for how many there
// are. If two of them counted the same, one key would be written twice.
func serialisesScans(t *testing.T, s store.Store) {
	const updates = 12
	var wg sync.WaitGroup
	for range updates {
		wg.Go(func() {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				n := 0
				if err := tx.Scan("b", "", "", func(string, []byte) error { n++; return nil }); err != nil {
					return err
				}
				return tx.Put("b", fmt.Sprint("key ", n), nil)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range updates {
		if get(t, s, fmt.Sprint("key ", i)) == nil {
			t.Errorf("there is no key %d", i)
		}
	}
}

// viewsOneState changes two keys together, while views read one after the other.
func viewsOneState(t *testing.T, s store.Store) {
	put(t, s, "first", "0", "second", "0")
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := range 30 {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				return errors.Join(tx.Put("b", "first", fmt.Append(nil, i)), tx.Put("b", "second", fmt.Append(nil, i)))
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	for range 30 {
		err := s.View(t.Context(), func(tx store.Tx) error {
			first, err := tx.Get("b", "first")
			if err != nil {
				return err
			}
			var second []byte
			err = tx.Scan("b", "second", "", func(_ string, value []byte) error { second = append(second, value...); return nil })
			if string(first) != string(second) {
				t.Errorf("a view has %s and %s", first, second)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	writing.Wait()
}
