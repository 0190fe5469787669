package rootfs

import "cloudlets/images"

// distinct is a source as it is: filesystems of Linux tell all names apart.
func distinct(_ string, src images.Source) images.Source { return src }
