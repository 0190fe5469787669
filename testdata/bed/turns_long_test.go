//go:build long

package bed_test

import "testing"

// alongside is [testing.T.Parallel] alone: tests that take long have subtests, which run
// beside those of other tests.
func alongside(t *testing.T, _ int) {
	t.Helper()
	t.Parallel()
}

func openQueue() error { return nil }
