package fingerprint

import (
	"encoding/binary"
	"io/fs"
	"os"
	"time"
)

// identityAt is the identity of the file at name, which is p in its image.
func identityAt(p, name string) ([]byte, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	return identity(p, info), nil
}

// File is the size of a file, and what tells its content from what it
// was before.
func File(f *os.File) (state string, size int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	return string(identity("", info)), info.Size(), nil
}

// Stat is what tells the content of the file at name from what it was before,
// and when that last changed. It follows links.
func Stat(name string) (state string, changed time.Time, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", changed, err
	}
	return string(identity("", info)), info.ModTime(), nil
}

// identity is what tells a file from what it was before: Windows tells no more
// than its kind, its size and the time of its last write.
func identity(p string, info fs.FileInfo) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(p)))
	b = append(b, p...)
	for _, v := range []uint64{uint64(info.Mode()), uint64(info.Size()), uint64(info.ModTime().UnixNano())} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return b
}
