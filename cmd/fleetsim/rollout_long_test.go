//go:build long && linux

package main

import "testing"

// TestLongRollouts: the server carries a roll-out on itself, after it was killed.
func TestLongRollouts(t *testing.T) {
	t.Parallel()
	rollsOut(t)
}
