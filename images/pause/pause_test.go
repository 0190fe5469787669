package pause_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/images/pause"
)

func TestFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		for _, c := range []struct {
			d, took time.Duration
			err     error
		}{{0, 0, nil}, {-time.Second, 0, nil}, {time.Second, time.Second, nil}, {time.Hour, 59 * time.Second, context.DeadlineExceeded}, {0, 0, context.DeadlineExceeded}} {
			began := time.Now()
			if err := pause.For(ctx, c.d); !errors.Is(err, c.err) || time.Since(began) != c.took {
				t.Errorf("a pause of %s took %s and said %v, want %s and %v", c.d, time.Since(began), err, c.took, c.err)
			}
		}
	})
}
