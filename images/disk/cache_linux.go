package disk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// dropCache makes the next reads come from the medium and not from memory.
// Only files have a cache that can be dropped.
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
