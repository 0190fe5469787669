package exit

import (
	"fmt"
	"runtime"
)

// NeedsLinux refuses on another system what only Linux can do. Instead says what a person
// does about it.
func NeedsLinux(what, instead string) error {
	return fmt.Errorf("%s needs Linux, and this is %s: %s", what, runtime.GOOS, instead)
}
