package rendering

import (
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/target"
	"cloudlets/provision"
)

// DiskOptions are what a machine's file says of its disk. The caller adds the disk's ID, and
// the architecture if it is known.
func DiskOptions(spec *provision.Spec) target.Options {
	return target.Options{
		Filesystem: spec.Filesystem, Reserve: true, Cmdline: spec.Cmdline, Timeout: target.MenuTimeout,
		SecureBoot: bootloader.SecureBoot{Shim: spec.SecureBoot == provision.ByShim},
		Slots:      spec.Slots == 2, Mirror: spec.Mirror, Persistent: spec.Persistent,
	}
}
