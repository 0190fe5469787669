package sparse

import (
	"fmt"
	"os"
)

// FileWriter writes a regular file that has holes in place of skipped zeros.
type FileWriter struct {
	AtWriter
	file *os.File
}

// File returns a writer that writes f from its beginning. f must be empty. The
// caller must call Finish after the last byte, and close f.
func File(f *os.File) *FileWriter {
	return &FileWriter{AtWriter: AtWriter{w: f}, file: f}
}

// Finish sets the length of the file, so that it includes zeros skipped at the end.
func (f *FileWriter) Finish() error {
	if err := f.file.Truncate(f.Offset()); err != nil {
		return fmt.Errorf("set the length of a sparse file to %d bytes: %w", f.Offset(), err)
	}
	return nil
}
