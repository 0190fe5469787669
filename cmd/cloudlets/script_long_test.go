//go:build long

package main

import "testing"

// TestLongScript runs the scripts that take long.
func TestLongScript(t *testing.T) { runScripts(t, "testdata/long") }
