//go:build long

package track_test

import "testing"

// TestLongServerIsKilled is TestServerIsKilled for as long as it takes to trust
// it.
func TestLongServerIsKilled(t *testing.T) { killServers(t, 300) }
