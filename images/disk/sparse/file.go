package sparse

import (
	"fmt"
	"os"
)

// FileWriter makes a regular file with holes where zeros were skipped.
type FileWriter struct {
	AtWriter
	file *os.File
}

// File writes to f, which must be empty, from its beginning. The caller calls
// Finish after the last byte and closes f.
func File(f *os.File) *FileWriter {
	return &FileWriter{AtWriter: AtWriter{w: f}, file: f}
}

// Finish gives the file its full length, zeros that were skipped last
// included.
func (f *FileWriter) Finish() error {
	if err := f.file.Truncate(f.Offset()); err != nil {
		return fmt.Errorf("set the length of a sparse file to %d bytes: %w", f.Offset(), err)
	}
	return nil
}
