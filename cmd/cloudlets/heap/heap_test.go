package heap

import (
	"math"
	"testing"
)

func TestGrowthOfTheHeap(t *testing.T) {
	for _, c := range []struct {
		growth growth
		want   map[uint64]int
	}{
		{verbGrowth, map[uint64]int{0: 400, 4 << 20: 400, 8 << 20: 200, 16 << 20: 100, 1 << 40: 100}},
		{listGrowth, map[uint64]int{0: 50, 4 << 20: 50, 32 << 20: 50, 64 << 20: 25, 80 << 20: 20, 1 << 30: 20, 1 << 40: 20}},
		{serverGrowth, map[uint64]int{0: 800, 8 << 20: 800, 32 << 20: 200, 64 << 20: 100, 128 << 20: 50, 1 << 40: 40}},
	} {
		for live, want := range c.want {
			if got := c.growth.percent(live); got != want {
				t.Errorf("with %+v a heap of %d bytes may grow by %d percent, want %d", c.growth, live, got, want)
			}
		}
	}
}

func TestLimitOfMemory(t *testing.T) {
	for live, want := range map[uint64]int64{0: 416 << 20, 200 << 20: 416 << 20, 400 << 20: 600 << 20, 1 << 30: 3 << 29} {
		if got := serverGrowth.limit(live); got != want {
			t.Errorf("a server with a heap of %d bytes may take %d, want %d", live, got, want)
		}
	}
	if got := verbGrowth.limit(1 << 30); got != math.MaxInt64 {
		t.Errorf("a verb may take %d bytes", got)
	}
}
