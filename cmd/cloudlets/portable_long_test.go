//go:build long

package main

import (
	"path/filepath"
	"testing"
)

// TestLongEveryHost builds the program for other hosts, and has `go vet` look at
// the tests that there are for each.
func TestLongEveryHost(t *testing.T) {
	for _, host := range otherHosts {
		t.Run(host, func(t *testing.T) {
			forHost(t, host, "build", "-o", filepath.Join(t.TempDir(), "cloudlets"), ".")
			forHost(t, host, "vet", ".", "../../images/...")
		})
	}
}
