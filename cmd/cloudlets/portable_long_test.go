//go:build long

package main

import (
	"path/filepath"
	"testing"
)

// otherHosts are systems besides Linux that the program is built for.
var otherHosts = []string{"darwin/arm64", "freebsd/amd64", "windows/amd64"}

// TestLongEveryHost builds the program for other hosts, and has `go vet` look at
// the tests that there are for each.
func TestLongEveryHost(t *testing.T) {
	for _, host := range otherHosts {
		t.Run(host, func(t *testing.T) {
			forHost(t, host, "build", "-o", filepath.Join(t.TempDir(), "cloudlets"), ".")
			forHost(t, host, append([]string{"vet"}, onEveryHost()...)...)
		})
	}
}
