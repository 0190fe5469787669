//go:build unix && !linux

package rootfs

import "golang.org/x/sys/unix"

// Sync writes all filesystems to their disks. Some systems do not wait for the
// end of that.
func (r *Root) Sync() error { return unix.Sync() }
