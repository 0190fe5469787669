package turns

import (
	"testing"
	"time"
)

// TestPace: no more happens in a second than may, and then again as much.
func TestPace(t *testing.T) {
	const most = 20
	var p Pace
	at := time.Unix(1000, 0)
	for n := range 2 * most {
		if got := p.Take(at, most); got != (n < most) {
			t.Errorf("the %dth in a second: %t", n+1, got)
		}
	}
	if !p.Take(at.Add(time.Second), most) {
		t.Error("nothing may happen in the next second")
	}
}
