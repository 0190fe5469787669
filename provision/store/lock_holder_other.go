//go:build !linux

package store

// lockHolder names no process: only Linux tells which has a lock.
func lockHolder(string) string {
	return "another process, most likely a cloudlets that runs already,"
}
