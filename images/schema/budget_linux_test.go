package schema

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestBudgetCountsWork waits for longer than a check may take, which is all that
// a computer does to a check for which it has no time.
func TestBudgetCountsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b budget
		if err := b.run(func() error { time.Sleep(2 * maxCheck); b.spend(); return nil }); err != nil {
			t.Errorf("a check that waited: %v", err)
		}
	})
	var b budget
	if err := b.run(func() error {
		for {
			b.spend()
		}
	}); !errors.Is(err, errBudget) {
		t.Errorf("a check without end: %v", err)
	}
}
