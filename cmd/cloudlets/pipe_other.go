//go:build !linux

package main

import "io"

// widen leaves a pipe as it is where its size is not ours to choose.
func widen(io.Writer) {}
