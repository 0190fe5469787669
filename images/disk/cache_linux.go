package disk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// dropCache makes later reads come from the medium instead of the page cache. It
// does nothing for a device that is not an *os.File.
func dropCache(dev Device) error {
	f, ok := dev.(*os.File)
	if !ok {
		return nil
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("verify disk: drop the cache of %s: %w", f.Name(), err)
	}
	return nil
}
