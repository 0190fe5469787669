package retryafter

import (
	"net/http"
	"testing"
	"time"
)

func TestOf(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 0, "5": 5 * time.Second, "0": 0, "61": Max, "99999999999999999999999": Max,
		"-1": 0, "1.5": 0, "Mon, 30 Nov 2026 12:00:00 GMT": 0, "soon": 0,
	} {
		if got := Of(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
	if got := Of(nil); got != 0 {
		t.Errorf("without a header: %s", got)
	}
}

func TestSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		d := Spread(8 * time.Second)
		if d < 8*time.Second || d > 12*time.Second {
			t.Errorf("8 s are spread to %s", d)
		}
		seen[d] = true
	}
	if len(seen) < 2 {
		t.Error("all come back at once")
	}
	if d := Spread(0); d != 0 {
		t.Errorf("no pause is spread to %s", d)
	}
}
