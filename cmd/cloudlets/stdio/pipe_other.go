//go:build !linux

package stdio

import "io"

// Widen does nothing: only Linux lets a program choose the size of a pipe.
func Widen(io.Writer) {}
