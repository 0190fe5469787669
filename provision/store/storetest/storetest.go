// Package storetest tests that a store does what its users rely on. Every
// implementation of [store.Store] runs it, so that a new one needs a test of one
// line. Start reading at [Conformance], which names every property that is
// tested.
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

// Conformance tests the stores that open returns. Each call of open must return
// a new, empty store, and close it at the end of t if it needs that.
func Conformance(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"an absent key is nil, an empty value is not", tellsEmptyFromAbsent},
		{"a failed update changes nothing", rollsBack},
		{"a view cannot write", refusesWritesInAView},
		{"scans are in order, from a key, by prefix", scans},
		{"bad keys are refused", refusesBadKeys},
		{"values are copies", copiesValues},
		{"updates do not lose each other's changes", serialisesUpdates},
		{"nothing runs after the context has ended", respectsTheContext},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func update(t *testing.T, s store.Store, write func(store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), write); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, s store.Store, pairs ...string) {
	t.Helper()
	update(t, s, func(tx store.Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := tx.Put("b", pairs[i], []byte(pairs[i+1])); err != nil {
				return err
			}
		}
		return nil
	})
}

func get(t *testing.T, s store.Store, key string) (value []byte) {
	t.Helper()
	err := s.View(t.Context(), func(tx store.Tx) (err error) {
		value, err = tx.Get("b", key)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func tellsEmptyFromAbsent(t *testing.T, s store.Store) {
	if v := get(t, s, "k"); v != nil {
		t.Errorf("absent key: %q", v)
	}
	put(t, s, "k", "")
	if v := get(t, s, "k"); v == nil || len(v) != 0 {
		t.Errorf("empty value: %#v", v)
	}
	update(t, s, func(tx store.Tx) error {
		return errors.Join(tx.Delete("b", "k"), tx.Delete("b", "absent"), tx.Delete("no bucket", "k"))
	})
	if v := get(t, s, "k"); v != nil {
		t.Errorf("deleted key: %q", v)
	}
}

func rollsBack(t *testing.T, s store.Store) {
	put(t, s, "keep", "old", "gone", "still here")
	failure := errors.New("stop")
	err := s.Update(t.Context(), func(tx store.Tx) error {
		err := errors.Join(tx.Put("b", "keep", []byte("new")), tx.Put("b", "more", []byte("x")),
			tx.Put("other", "k", []byte("x")), tx.Delete("b", "gone"))
		if v, _ := tx.Get("b", "keep"); string(v) != "new" {
			t.Errorf("a transaction does not see its own write: %q", v)
		}
		return errors.Join(err, failure)
	})
	if !errors.Is(err, failure) {
		t.Errorf("Update returned %v", err)
	}
	if a, b, c := get(t, s, "keep"), get(t, s, "more"), get(t, s, "gone"); string(a) != "old" || b != nil || string(c) != "still here" {
		t.Errorf("after a failed update: %q %q %q", a, b, c)
	}
}

func refusesWritesInAView(t *testing.T, s store.Store) {
	put(t, s, "k", "v")
	s.View(t.Context(), func(tx store.Tx) error {
		if err := tx.Put("b", "k", []byte("w")); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("Put: %v", err)
		}
		if err := tx.Delete("b", "k"); !errors.Is(err, store.ErrReadOnly) {
			t.Errorf("Delete: %v", err)
		}
		return nil
	})
	if v := get(t, s, "k"); string(v) != "v" {
		t.Errorf("got %q", v)
	}
}

func scans(t *testing.T, s store.Store) {
	put(t, s, "a/3", "3", "a/1", "1", "b/1", "x", "a", "x", "a/2", "2", "a0", "x", "a/\xff", "4")
	for _, c := range []struct {
		prefix, from string
		limit        int
		want         string
	}{
		{"a/", "", 9, "a/1=1 a/2=2 a/3=3 a/\xff=4"},
		{"a/", "a/2", 9, "a/2=2 a/3=3 a/\xff=4"},
		{"a/", "a/", 2, "a/1=1 a/2=2"},
		{"a/", "b", 9, ""},
		{"c", "", 9, ""},
		{"", "a0", 9, "a0=x b/1=x"},
	} {
		var got []string
		err := s.View(t.Context(), func(tx store.Tx) error {
			return tx.Scan("b", c.prefix, c.from, func(key string, value []byte) error {
				if got = append(got, fmt.Sprintf("%s=%s", key, value)); len(got) == c.limit {
					return store.ErrStopScan
				}
				return nil
			})
		})
		if text := strings.Join(got, " "); text != c.want || err != nil {
			t.Errorf("scan of %q from %q: %q, %v; want %q", c.prefix, c.from, text, err, c.want)
		}
	}
	failure := errors.New("visit failed")
	err := s.View(t.Context(), func(tx store.Tx) error {
		if err := tx.Scan("no bucket", "", "", func(string, []byte) error { return failure }); err != nil {
			t.Errorf("scan of an absent bucket: %v", err)
		}
		return tx.Scan("b", "", "", func(string, []byte) error { return failure })
	})
	if !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

func refusesBadKeys(t *testing.T, s store.Store) {
	long := strings.Repeat("k", store.MaxKey)
	put(t, s, long, "v")
	if v := get(t, s, long); string(v) != "v" {
		t.Errorf("longest key: %q", v)
	}
	for _, key := range []string{"", long + "k"} {
		err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Put("b", key, nil) })
		if err == nil {
			t.Errorf("a key of %d bytes was accepted", len(key))
		}
		if v := get(t, s, key); v != nil {
			t.Errorf("a key of %d bytes has the value %q", len(key), v)
		}
	}
	if err := s.Update(t.Context(), func(tx store.Tx) error { return tx.Put("", "k", nil) }); err == nil {
		t.Error("a bucket without a name was accepted")
	}
}

func copiesValues(t *testing.T, s store.Store) {
	value := []byte("abc")
	update(t, s, func(tx store.Tx) error {
		err := tx.Put("b", "k", value)
		value[0] = 'X'
		return err
	})
	got := get(t, s, "k")
	if string(got) != "abc" {
		t.Errorf("the store shares memory with its writer: %q", got)
	}
	got[0] = 'Y'
	if again := get(t, s, "k"); string(again) != "abc" {
		t.Errorf("the store shares memory with its reader: %q", again)
	}
}

func serialisesUpdates(t *testing.T, s store.Store) {
	put(t, s, "n", "")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				v, err := tx.Get("b", "n")
				return errors.Join(err, tx.Put("b", "n", append(v, '.')))
			})
			if err != nil {
				t.Error(err)
			}
			if v := get(t, s, "n"); len(v) == 0 {
				t.Error("an update that returned is not seen")
			}
		})
	}
	wg.Wait()
	if v := get(t, s, "n"); len(v) != 20 {
		t.Errorf("20 updates made %d", len(v))
	}
}

func respectsTheContext(t *testing.T, s store.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	called := func(store.Tx) error { t.Error("called"); return nil }
	if err := s.Update(ctx, called); !errors.Is(err, context.Canceled) {
		t.Errorf("Update: %v", err)
	}
	if err := s.View(ctx, called); !errors.Is(err, context.Canceled) {
		t.Errorf("View: %v", err)
	}
}
