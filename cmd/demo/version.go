package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
)

// The file of the image that its second version changes: the template of what a
// console shows above its login prompt. oldText becomes newText.
const (
	changedFile      = "/etc/issue"
	oldText, newText = "<%= args.role %>", "<%= args.role %>, version 2"
)

// writeSecondVersion writes the image again, as a tarball that differs in one file.
func writeSecondVersion(image, to string) (err error) {
	in, err := os.Open(image)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := changeImage(in, out); err != nil {
		return fmt.Errorf("make the second version of %s: %w", image, err)
	}
	return nil
}

// changeImage copies a tarball, and changes one file in it. It is an error if the file is
// not there, or is not what it is expected to be: the version could not be told from the
// first.
func changeImage(in io.Reader, out io.Writer) error {
	from, to := tar.NewReader(in), tar.NewWriter(out)
	changed := false
	for {
		head, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		var content io.Reader = from
		if path.Clean("/"+head.Name) == changedFile {
			text, err := changeText(from)
			if err != nil {
				return err
			}
			head.Size, content, changed = int64(len(text)), bytes.NewReader(text), true
		}
		if err := to.WriteHeader(head); err != nil {
			return err
		}
		if _, err := io.Copy(to, content); err != nil {
			return err
		}
	}
	if !changed {
		return fmt.Errorf("it has no %s", changedFile)
	}
	return to.Close()
}

// maxChanged bounds the file that changes, in bytes.
const maxChanged = 64 << 10

func changeText(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxChanged))
	if err != nil {
		return nil, err
	}
	changed := bytes.Replace(text, []byte(oldText), []byte(newText), 1)
	if bytes.Equal(changed, text) {
		return nil, fmt.Errorf("its %s does not say %q", changedFile, oldText)
	}
	return changed, nil
}
