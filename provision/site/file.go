package site

import (
	"fmt"
	"io"
	"os"

	"cloudlets/images/bytesize"
)

// MaxText bounds a file of the site that is given to machines, in bytes.
const MaxText = 1 << 20

// ReadFile reads a file of the site that a machine's file names. No link leads out of the
// site.
func (s *Site) ReadFile(name string) ([]byte, error) {
	f, err := s.openFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxText+1))
	if err == nil && len(text) > MaxText {
		err = errTooLarge
	}
	if err != nil {
		return nil, fmt.Errorf("read %s in the site: %w", name, err)
	}
	return text, nil
}

// CheckFile says why [Site.ReadFile] would not read a file, as far as that is known without
// reading it.
func (s *Site) CheckFile(name string) error {
	f, err := s.openFile(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > MaxText {
		return fmt.Errorf("read %s in the site: %w", name, errTooLarge)
	}
	return nil
}

var errTooLarge = fmt.Errorf("it is larger than %s", bytesize.Exact(MaxText))

func (s *Site) openFile(name string) (*os.File, error) {
	root, err := os.OpenRoot(s.dir)
	if err != nil {
		return nil, fmt.Errorf("open the site: %w", err)
	}
	defer root.Close()
	info, err := root.Stat(name) // first, since opening a pipe would wait
	if err != nil {
		return nil, fmt.Errorf("read a file of the site: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s in the site: it is not a file", name)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read a file of the site: %w", err)
	}
	return f, nil
}
