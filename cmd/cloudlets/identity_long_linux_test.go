//go:build long && !race

package main

import "testing"

// TestLongOneIdentity is TestOneIdentity with a whole Debian.
func TestLongOneIdentity(t *testing.T) { oneIdentity(t, manyFilesManifest) }
