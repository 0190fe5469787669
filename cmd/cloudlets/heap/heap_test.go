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
	for _, c := range []struct{ live, other, want uint64 }{
		{0, 0, 400 << 20}, {200 << 20, 100 << 20, 400 << 20}, {400 << 20, 100 << 20, 580 << 20}, {10, 1 << 30, 1<<30 + 10},
	} {
		if got := serverGrowth.limit(c.live, c.other); got < int64(c.want) || got > int64(c.want)+1000 {
			t.Errorf("a server with a heap of %d bytes and %d others may take %d, want %d", c.live, c.other, got, c.want)
		}
	}
	if got := verbGrowth.limit(1<<30, 0); got != math.MaxInt64 {
		t.Errorf("a verb may take %d bytes", got)
	}
	live, other := memory()
	if other < 1<<20 || other > 1<<30 || live > 1<<30 {
		t.Errorf("the heap has %d live bytes, and there are %d others", live, other)
	}
}
