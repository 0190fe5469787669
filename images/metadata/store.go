package metadata

import (
	"bytes"
	"fmt"
	"io"

	"cloudlets/images"
)

// beside is the name of a metadata file that is being written.
const beside = ".metadata.part"

// Beside is the path of the metadata file while it is being written. It remains
// there only after a crash.
const Beside = images.Dir + "/" + beside

// Read reads the metadata file of the image in a directory. If there is none,
// the error is fs.ErrNotExist.
func Read(dir string) (File, error) {
	text, err := readText(dir)
	if err != nil {
		return File{}, err
	}
	return Parse(bytes.NewReader(text))
}

// readText returns the text of the metadata file.
func readText(dir string) ([]byte, error) {
	f, err := openText(dir)
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
