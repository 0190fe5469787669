//go:build !linux

package main

// This file refuses what only Linux can do, in one sentence that says what to do
// instead. The verbs and their flags are the same on every system.

// processOne returns false: only Linux starts this program as process 1.
func processOne() bool { return false }
