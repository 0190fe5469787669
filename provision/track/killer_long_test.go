//go:build long

package track_test

import (
	"path/filepath"
	"testing"
)

// TestLongServerIsKilled is TestServerIsKilled for as long as it takes to trust
// it.
func TestLongServerIsKilled(t *testing.T) {
	killServers(t, 300, filepath.Join(t.TempDir(), "store.db"))
}

func TestLongServerOnEtcdIsKilled(t *testing.T) { killServersOnEtcd(t, 300) }
