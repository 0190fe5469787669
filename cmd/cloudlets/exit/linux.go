package exit

import (
	"fmt"
	"runtime"
)

// NeedsLinux is the error for what needs Linux.
func NeedsLinux(what, instead string) error {
	return fmt.Errorf("%s needs Linux, and this is %s: %s", what, runtime.GOOS, instead)
}
