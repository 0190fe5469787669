package main

import "testing"

func TestGrowthOfTheHeap(t *testing.T) {
	for live, want := range map[uint64]int{0: 50, 4 << 20: 50, 32 << 20: 50, 64 << 20: 25, 80 << 20: 20, 1 << 30: 20, 1 << 40: 20} {
		if got := growthOf(live); got != want {
			t.Errorf("a heap of %d bytes may grow by %d percent, want %d", live, got, want)
		}
	}
}
