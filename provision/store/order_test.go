package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
)

func openTest(t *testing.T) *File {
	t.Helper()
	s, err := OpenFile(filepath.Join(t.TempDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestOrderOfWrites puts random transactions into writes, some of which fail or panic:
// each ends once, those of either list in their order, the first of each in the first
// write, and no write goes on when it has maxChanges.
func TestOrderOfWrites(t *testing.T) {
	s := openTest(t)
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		waiting := queue{}
		size, fails := map[*update]int{}, map[*update]bool{}
		for n := range 1 + r.IntN(40) {
			u := &update{ctx: t.Context(), urgent: r.IntN(3) == 0}
			size[u], fails[u] = 1+r.IntN(maxChanges/2), r.IntN(10) == 0
			panics := r.IntN(3) == 0
			u.write = func(tx Tx) error {
				for i := range size[u] {
					if err := tx.Put("b", fmt.Sprint(seed, "/", n, "/", i), nil); err != nil {
						return err
					}
				}
				if fails[u] && panics {
					panic("at the disco")
				}
				if fails[u] {
					return errors.New("refused")
				}
				return nil
			}
			waiting.add(u)
		}
		before := queue{slices.Clone(waiting.urgent), slices.Clone(waiting.others)}
		var wrote queue // what was written, in order
		for writes := 0; waiting.first() != nil; writes++ {
			heads := queue{waiting.urgent[:min(1, len(waiting.urgent))], waiting.others[:min(1, len(waiting.others))]}
			ended, left := s.commit(waiting.take())
			waiting.putBack(left)
			changes := 0
			for _, u := range ended {
				if fails[u] {
					if u.err == nil && u.panicked == nil {
						t.Fatalf("seed %d: a transaction that fails was written", seed)
					}
					continue
				}
				if u.err != nil {
					t.Fatalf("seed %d: %v", seed, u.err)
				}
				wrote.add(u)
				changes += size[u]
			}
			for _, u := range slices.Concat(heads.urgent, heads.others) {
				if !slices.Contains(ended, u) {
					t.Fatalf("seed %d: the first one that waits has no room in a write", seed)
				}
			}
			// The last one, and the first of the others, go beyond it.
			if changes > 2*maxChanges {
				t.Fatalf("seed %d: a write of %d changes", seed, changes)
			}
		}
		before.urgent = slices.DeleteFunc(before.urgent, func(u *update) bool { return fails[u] })
		before.others = slices.DeleteFunc(before.others, func(u *update) bool { return fails[u] })
		if !slices.Equal(wrote.urgent, before.urgent) || !slices.Equal(wrote.others, before.others) {
			t.Fatalf("seed %d: transactions are lost, made twice or out of order", seed)
		}
	}
}

// TestUrgentUpdateDoesNotWaitForAll: while a write runs, much piles up, and then
// something urgent comes. It is the next that is written.
func TestUrgentUpdateDoesNotWaitForAll(t *testing.T) {
	s := openTest(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	var mu sync.Mutex
	var order []string
	update := func(ctx context.Context, name string, changes int) {
		all.Go(func() {
			err := s.Update(ctx, func(tx Tx) error {
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				for i := range changes {
					if err := tx.Put("b", fmt.Sprint(name, i), nil); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Go(func() {
		_ = s.Update(t.Context(), func(Tx) error { close(began); <-goOn; return nil })
	})
	<-began
	const others = 5
	for n := range others {
		update(t.Context(), fmt.Sprint("other ", n), maxChanges)
		awaitWaiting(s, n+1)
	}
	update(Urgent(t.Context()), "urgent", 1)
	awaitWaiting(s, others+1)
	close(goOn)
	all.Wait()
	want := []string{"urgent", "other 0", "other 1", "other 2", "other 3", "other 4"}
	if !slices.Equal(order, want) {
		t.Errorf("they ran as %q, want %q", order, want)
	}
}

// awaitWaiting waits until so many updates wait.
func awaitWaiting(s *File, n int) {
	for waiting := -1; waiting != n; runtime.Gosched() {
		s.mu.Lock()
		waiting = len(s.waiting.urgent) + len(s.waiting.others)
		s.mu.Unlock()
	}
}
