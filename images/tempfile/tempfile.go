// Package tempfile makes temporary files that are gone when they are closed,
// even if the process is killed.
package tempfile

import (
	"fmt"
	"os"
)

// Create makes a temporary file in dir, or where temporary files are,
// that is gone when it is closed, whatever becomes of this process. The
// pattern is that of [os.CreateTemp].
func Create(dir, pattern string) (*os.File, error) {
	f, err := create(dir, pattern)
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	return f, nil
}
