package metadata

import (
	"fmt"
	"io"
	"os"
)

// readText reads the metadata file's text.
func readText(dir string) ([]byte, error) {
	f, err := os.OpenInRoot(dir, Path[1:])
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", Path, dir, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", Path, dir, err)
	}
	return text, nil
}
