//go:build !linux

package main

// processOne returns false: only Linux starts this program as process 1.
func processOne() bool { return false }
