//go:build unix

package fingerprint

import (
	"encoding/binary"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// identityAt is the identity of the file at name, which is p in its image.
func identityAt(p, name string) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	return identity(p, &st), nil
}

// File is the size of a file, and what tells its content from what it
// was before.
func File(f *os.File) (state string, size int64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", 0, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return string(identity("", &st)), st.Size, nil
}

// Stat is what tells the content of the file at name from what it was before,
// and when that last changed. It follows links.
func Stat(name string) (state string, changed time.Time, err error) {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return "", changed, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return string(identity("", &st)), time.Unix(0, max(st.Mtim.Nano(), st.Ctim.Nano())), nil
}

// identity is what tells a file from what it was before. The time of its
// last change covers owner, mode, links and extended attributes.
func identity(p string, st *unix.Stat_t) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(p)))
	b = slices.Concat(b, []byte(p))
	for _, v := range []uint64{
		uint64(st.Dev), uint64(st.Ino), uint64(st.Mode), uint64(st.Size), uint64(st.Rdev),
		uint64(st.Mtim.Nano()), uint64(st.Ctim.Nano()),
	} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}
