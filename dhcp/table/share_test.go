package table

import (
	"fmt"
	"testing"
)

// TestOnlyTheShareMoves when a member leaves or joins.
func TestOnlyTheShareMoves(t *testing.T) {
	before, after := []string{"a", "b", "c", "d"}, []string{"a", "b", "d"}
	counts := map[string]int{}
	for key := range uint64(4000) {
		was, is := ownerOf(key, before), ownerOf(key, after)
		counts[was]++
		if was != "c" && was != is {
			t.Fatalf("key %d went from %s to %s, and both are alive", key, was, is)
		}
	}
	for id, n := range counts {
		if n < 800 || n > 1200 {
			t.Errorf("%s has %d of 4000", id, n)
		}
	}
}

func BenchmarkOwner(b *testing.B) {
	for _, n := range []int{1, 3, 16} {
		ids := make([]string, n)
		for i := range ids {
			ids[i] = fmt.Sprintf("member-%032d", i)
		}
		b.Run(fmt.Sprint(n, " members"), func(b *testing.B) {
			for i := range b.N {
				ownerOf(uint64(i), ids)
			}
		})
	}
}
