// Package storetest tests that a store does what its users rely on. Every
// implementation of [store.Store] runs it, so that a new one needs a test of one
// line. Start reading at [Conformance], which names every property that is
// tested.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"cloudlets/provision/store"
)

// Conformance tests the stores that open returns, which may also put faults in, as
// [Twice] does. Each call of open must return
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
		{"a scan of many keys has each once", scansMany},
		{"a transaction sees what it wrote", seesItsOwnWrites},
		{"bad keys are refused", refusesBadKeys},
		{"values are copies", copiesValues},
		{"updates do not lose each other's changes", serialisesUpdates},
		{"updates that scan do not lose each other's changes", serialisesScans},
		{"a view sees one state", viewsOneState},
		{"of updates at once each stands for itself", failsAlone},
		{"an update that panics harms no other", panicsAlone},
		{"keys are read at once", readsEach},
		{"a follower sees each transaction, in order, before Update returns", follows},
		{"a follower sees no change twice and misses none", followsFromTheStart},
		{"what is announced is there for all", announces},
		{"the largest transaction is accepted", acceptsTheBounds},
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
	update(t, s, func(tx store.Tx) error {
		value := []byte("abc")
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

func readsEach(t *testing.T, s store.Store) {
	put(t, s, "a", "1", "b", "")
	err := s.Update(t.Context(), func(tx store.Tx) error {
		if err := tx.Put("b", "c", []byte("3")); err != nil {
			return err
		}
		values, err := tx.GetEach("b", []string{"c", "absent", "a", "b"})
		if err != nil {
			return err
		}
		if got := fmt.Sprintf("%q %v", values, values[1] == nil && values[3] != nil); got != `["3" "" "1" ""] true` {
			t.Errorf("got %s", got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// recorder is a follower that remembers. Its lock is for the race detector: the
// calls come one after the other.
type recorder struct {
	mu     sync.Mutex
	loaded map[string]string
	seen   []string
	fail   error
}

func (r *recorder) Load(tx store.Tx) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded, r.seen = map[string]string{}, nil
	return errors.Join(r.fail, tx.Scan("b", "", "", func(key string, value []byte) error {
		r.loaded[key] = string(value)
		return nil
	}))
}

func (r *recorder) Apply(changes []store.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var parts []string
	for _, c := range changes {
		value := "deleted"
		if c.Value != nil {
			value = fmt.Sprintf("%q", c.Value)
		}
		parts = append(parts, fmt.Sprintf("%s/%s=%s", c.Bucket, c.Key, value))
	}
	slices.Sort(parts)
	r.seen = append(r.seen, strings.Join(parts, " "))
}

func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.loaded, " ", strings.Join(r.seen, "; "))
}

func follows(t *testing.T, s store.Store) {
	put(t, s, "k", "before")
	var r recorder
	stop, err := s.Follow(t.Context(), &r, "b", "c")
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", "after", "l", "")
	update(t, s, func(tx store.Tx) error { return errors.Join(tx.Delete("b", "k"), tx.Put("c", "k", []byte("v"))) })
	update(t, s, func(tx store.Tx) error { return tx.Put("other", "k", []byte("v")) })
	failed := errors.New("failed")
	s.Update(t.Context(), func(tx store.Tx) error { return errors.Join(tx.Put("b", "k", nil), failed) })
	want := `map[k:before] b/k="after" b/l=""; b/k=deleted c/k="v"`
	if got := r.text(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	stop()
	put(t, s, "k", "again")
	if got := r.text(); got != want {
		t.Errorf("after the end: %s", got)
	}
	if _, err := s.Follow(t.Context(), &recorder{fail: failed}, "b"); !errors.Is(err, failed) {
		t.Errorf("a follower that cannot load: %v", err)
	}
}

func followsFromTheStart(t *testing.T, s store.Store) {
	const writers, each = 4, 25
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				err := s.Update(context.Background(), func(tx store.Tx) error { return tx.Put("b", fmt.Sprint(w), fmt.Append(nil, i)) })
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	var followers [5]recorder
	for i := range followers {
		stop, err := s.Follow(t.Context(), &followers[i], "b")
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
	}
	wg.Wait()
	for i := range followers {
		next := map[string]int{}
		for key, value := range followers[i].loaded {
			n, _ := strconv.Atoi(value)
			next["b/"+key] = n + 1
		}
		for _, change := range followers[i].seen {
			key, value, _ := strings.Cut(change, "=")
			if want := fmt.Sprintf("%q", fmt.Sprint(next[key])); value != want {
				t.Errorf("follower %d: %s is %s, want %s", i, key, value, want)
			}
			next[key]++
		}
		for w := range writers {
			if n := next[fmt.Sprintf("b/%d", w)]; n != each {
				t.Errorf("follower %d saw %d of %d changes of writer %d", i, n, each, w)
			}
		}
	}
}

func announces(t *testing.T, s store.Store) {
	for _, value := range []string{"first", "second"} {
		if err := s.Announce(t.Context(), "me", []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	err := s.View(t.Context(), func(tx store.Tx) error {
		value, err := tx.Get(store.Announced, "me")
		if string(value) != "second" {
			t.Errorf("announced %q", value)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func acceptsTheBounds(t *testing.T, s store.Store) {
	limits := s.Limits()
	reads, writes, size := min(limits.Reads, 60), min(limits.Writes, 2000), min(limits.Bytes, 1<<20)
	value := make([]byte, size/writes-20)
	update(t, s, func(tx store.Tx) error {
		for i := range reads {
			if _, err := tx.Get("b", fmt.Sprint("absent ", i)); err != nil {
				return err
			}
		}
		for i := range writes {
			if err := tx.Put("b", fmt.Sprint("key ", i), value); err != nil {
				return err
			}
		}
		return nil
	})
	n := 0
	err := s.View(t.Context(), func(tx store.Tx) error {
		n = 0
		return tx.Scan("b", "key ", "", func(string, []byte) error { n++; return nil })
	})
	if n != writes || err != nil {
		t.Errorf("%d keys of %d, %v", n, writes, err)
	}
}

func failsAlone(t *testing.T, s store.Store) {
	const each = 30
	failure := errors.New("it fails")
	var wg sync.WaitGroup
	for i := range each {
		wg.Go(func() {
			err := s.Update(context.Background(), func(tx store.Tx) error {
				if err := tx.Put("b", fmt.Sprint("key ", i), fmt.Append(nil, i)); err != nil {
					return err
				}
				if i%3 == 0 {
					return failure
				}
				return nil
			})
			if want := i%3 == 0; errors.Is(err, failure) != want || err != nil && !want {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i := range each {
		if v := get(t, s, fmt.Sprint("key ", i)); (v == nil) != (i%3 == 0) {
			t.Errorf("key %d has %q", i, v)
		}
	}
}

func panicsAlone(t *testing.T, s store.Store) {
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			defer func() {
				if v := recover(); (v != nil) != (i == 5) {
					t.Errorf("update %d panicked with %v", i, v)
				}
			}()
			err := s.Update(context.Background(), func(tx store.Tx) error {
				if i == 5 {
					panic("this one")
				}
				return tx.Put("b", fmt.Sprint(i), nil)
			})
			if err != nil {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for i := range 10 {
		if v := get(t, s, fmt.Sprint(i)); (v == nil) != (i == 5) {
			t.Errorf("update %d wrote %v", i, v)
		}
	}
	put(t, s, "k", "it works")
}
