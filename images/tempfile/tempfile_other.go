//go:build !windows

package tempfile

import (
	"errors"
	"fmt"
	"os"
)

// create takes the name off the file that is open.
func create(dir, pattern string) (*os.File, error) {
	f, err := os.CreateTemp(dir, pattern)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("unlink it: %w", err), f.Close())
	}
	return f, nil
}
