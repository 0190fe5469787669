//go:build unix && !linux

package rootfs

import "golang.org/x/sys/unix"

// Sync waits until all filesystems are on their disks, as far as the host
// waits for that.
func (r *Root) Sync() error { return unix.Sync() }
