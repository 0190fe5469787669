//go:build long

package main

import (
	"bytes"
	"path/filepath"
	"testing"
)

// TestLongBuildAgain: a second build has the same bytes.
func TestLongBuildAgain(t *testing.T) {
	t.Chdir("../..")
	dir := t.TempDir()
	if !bytes.Equal(build(t, filepath.Join(dir, "one")), build(t, filepath.Join(dir, "two"))) {
		t.Error("a second build has other bytes")
	}
}
