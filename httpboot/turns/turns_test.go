package turns

import (
	"context"
	"errors"
	"runtime"
	"testing"
)

// TestTurns: so many have their turn at once, some more wait, and all others are told
// to ask again.
func TestTurns(t *testing.T) {
	var turns Turns
	var running []func()
	const most, queue = 5, 70
	for range most {
		done, err := turns.Take(t.Context(), most, queue)
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, done)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	for range queue {
		go func() {
			_, err := turns.Take(ctx, most, queue)
			ended <- err
		}()
	}
	for !turns.Full(most, queue) { // until they all wait
		runtime.Gosched()
	}
	if _, err := turns.Take(t.Context(), most, queue); !errors.Is(err, ErrBusy) {
		t.Errorf("one too many: %v", err)
	}
	stop()
	for range queue {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("one that has hung up: %v", err)
		}
	}
	if turns.Full(most, queue) {
		t.Error("there seems to be no room although nobody waits")
	}
	running[0]()
	done, err := turns.Take(t.Context(), most, queue)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range append(running[1:], done) {
		end()
	}
}
