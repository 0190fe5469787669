package httpboot

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

// TestTurns: so many plans are made at once, some more wait, and all others are told
// to ask again.
func TestTurns(t *testing.T) {
	var turns turns
	var running []func()
	for range maxPlans * runtime.GOMAXPROCS(0) {
		done, err := turns.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, done)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	waiting := (maxWaiting - maxPlans) * runtime.GOMAXPROCS(0)
	for range waiting {
		go func() {
			_, err := turns.take(ctx)
			ended <- err
		}()
	}
	for err := error(nil); !errors.Is(err, errBusy); { // once they all wait
		var done func()
		short, cancel := context.WithCancel(t.Context())
		cancel()
		if done, err = turns.take(short); err == nil {
			done()
		}
	}
	stop()
	for range waiting {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a claim whose agent has hung up: %v", err)
		}
	}
	running[0]()
	done, err := turns.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range append(running[1:], done) {
		end()
	}
}
