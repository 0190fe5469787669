//go:build !linux

package store

// lockHolder cannot name the process, since only Linux tells which has a lock.
func lockHolder(string) string {
	return "another process, most likely a cloudlets server that is running already,"
}
