package httpboot

import (
	"context"
	"errors"
	"testing"
)

// TestTurns: so many have their turn at once, some more wait, and all others are told
// to ask again.
func TestTurns(t *testing.T) {
	var turns turns
	var running []func()
	const most, queue = 5, 70
	for range most {
		done, err := turns.take(t.Context(), most, queue)
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, done)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	for range queue {
		go func() {
			_, err := turns.take(ctx, most, queue)
			ended <- err
		}()
	}
	for err := error(nil); !errors.Is(err, errBusy); { // once they all wait
		var done func()
		short, cancel := context.WithCancel(t.Context())
		cancel()
		if done, err = turns.take(short, most, queue); err == nil {
			done()
		}
	}
	if !turns.full(most, queue) {
		t.Error("there seems to be room")
	}
	stop()
	for range queue {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("one that has hung up: %v", err)
		}
	}
	if turns.full(most, queue) {
		t.Error("there seems to be no room although nobody waits")
	}
	running[0]()
	done, err := turns.take(t.Context(), most, queue)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range append(running[1:], done) {
		end()
	}
}
