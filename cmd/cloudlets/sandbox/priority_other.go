//go:build !linux

package sandbox

// lowPriority does nothing: only servers check machines in the background.
func lowPriority() {}
