package imagetest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/testdata/needs"
)

// Must fails the test if any step of making something has failed.
func Must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%v (these tests need root, for owners and devices)", err)
	}
}

// WriteTemp writes a tarball to a new file and returns its path.
func WriteTemp(t *testing.T, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	Must(t, os.WriteFile(file, data, 0o644))
	return file
}

// Run runs a foreign tool from a Debian package.
func Run(t *testing.T, pkg, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(needs.Tool(t, name, pkg), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, args, err, out)
	}
}

// TarOf writes a source as a tarball. It is independent of the code under test.
func TarOf(t *testing.T, s images.Source) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	types := map[images.Type]byte{images.Regular: '0', images.HardLink: '1', images.Symlink: '2', images.CharDevice: '3', images.BlockDevice: '4', images.Directory: '5', images.FIFO: '6'}
	err := s.Walk(context.Background(), func(e images.Entry, content io.Reader) error {
		h := &tar.Header{Typeflag: types[e.Type], Name: "." + e.Path, Linkname: e.Link, Size: e.Size, Mode: int64(e.Mode), Uid: int(e.UID), Gid: int(e.GID),
			ModTime: e.ModTime, Devmajor: int64(e.Major), Devminor: int64(e.Minor), Format: tar.FormatPAX, PAXRecords: map[string]string{}}
		for name, value := range e.Xattrs {
			h.PAXRecords["SCHILY.xattr."+name] = value
		}
		if err := w.WriteHeader(h); err != nil || content == nil {
			return err
		}
		_, err := io.Copy(w, content)
		return err
	})
	Must(t, err, w.Close())
	return WriteTemp(t, b.Bytes())
}

// Visited returns the paths that a walk visits, in one line.
func Visited(s images.Source) (string, error) {
	var names []string
	err := s.Walk(context.Background(), func(e images.Entry, _ io.Reader) error {
		names = append(names, e.Path)
		return nil
	})
	return strings.Join(names, " "), err
}
