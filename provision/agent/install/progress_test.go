package install

import (
	"testing"
	"time"
)

func TestProgressHasTheRateOfTheLastSeconds(t *testing.T) {
	m, start := &meter{}, time.Unix(1000, 0)
	for i, want := range []struct {
		seconds float64
		done    int64
		due     bool
		rate    int64
	}{
		{0, 0, true, 0},
		{0.5, 50, false, 0}, // too soon
		{1, 100, true, 100},
		{2, 300, true, 150},
		{20, 300, true, 0}, // nothing came for long
		{21, 1300, true, 1000},
		{21.1, 2000, true, 1545}, // the end is always told
	} {
		p, due := m.add(start.Add(time.Duration(want.seconds*float64(time.Second))), want.done, 2000)
		if due != want.due || due && (p.Rate != want.rate || p.Done != want.done || p.Total != 2000) {
			t.Errorf("%d: %+v, %t; want rate %d, %t", i, p, due, want.rate, want.due)
		}
	}
}
