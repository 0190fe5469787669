package ext4_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/disk/ext4"
)

// manyFiles is a source that takes no memory itself: files of two bytes, a
// hundred in a directory.
type manyFiles int

func (n manyFiles) Walk(_ context.Context, visit images.VisitFunc) error {
	if err := visit(images.Entry{Path: "/", Type: images.Directory, Mode: 0o755}, nil); err != nil {
		return err
	}
	for i := range int(n) {
		dir := fmt.Sprintf("/usr-share-doc-%d", i/100)
		if i%100 == 0 {
			if err := visit(images.Entry{Path: dir, Type: images.Directory, Mode: 0o755}, nil); err != nil {
				return err
			}
		}
		e := images.Entry{Path: fmt.Sprintf("%s/some-file-%d.gz", dir, i), Type: images.Regular, Size: 2, Mode: 0o644}
		if err := visit(e, strings.NewReader("x\n")); err != nil {
			return err
		}
	}
	return nil
}

// A plan keeps at most 82 bytes of a file, its name of 20 bytes included.
func TestMemoryOfAPlan(t *testing.T) {
	const files, most = 200_000, 82
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	l, err := ext4.Plan(t.Context(), manyFiles(files), ext4.Options{})
	if err != nil {
		t.Fatal(err)
	}
	after := live()
	each := float64(int64(after)-int64(before)) / files
	t.Logf("%.0f bytes a file", each)
	if each > most {
		t.Errorf("a plan keeps %.0f bytes of a file, want at most %d", each, most)
	}
	runtime.KeepAlive(l)
}
