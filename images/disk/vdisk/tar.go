package vdisk

import (
	"archive/tar"
	"bytes"
	"fmt"
	"time"
)

const (
	tarEnd     = 2 * sector // the zeros at an archive's end
	ustarLimit = 1 << 33    // the smallest size that does not fit into a header of POSIX
)

// tarHeader returns the header of a member in GNU's old format.
func tarHeader(name string, size int64, modified time.Time) ([]byte, error) {
	return tarHeaderIn(tar.FormatGNU, name, size, modified)
}

// ustarHeader returns the header of a member in POSIX's format, which OVF requires. A
// size that does not fit is written in the way of GNU and VMware.
func ustarHeader(name string, size int64, modified time.Time) ([]byte, error) {
	if size >= ustarLimit {
		return tarHeader(name, size, modified)
	}
	return tarHeaderIn(tar.FormatUSTAR, name, size, modified)
}

func tarHeaderIn(format tar.Format, name string, size int64, modified time.Time) ([]byte, error) {
	if epoch := time.Unix(0, 0); modified.Before(epoch) {
		modified = epoch
	}
	var b bytes.Buffer
	err := tar.NewWriter(&b).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644,
		ModTime: modified.Truncate(time.Second), Format: format,
	})
	if err != nil {
		return nil, fmt.Errorf("make the archive's header of %s: %w", name, err)
	}
	return b.Bytes(), nil
}
