//go:build linux

package tarball

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"cloudlets/images"
	"cloudlets/images/imagetest"
)

// TestMemoryOfAnIndex counts what the list of a tarball's files keeps of
// each, its name of 16 bytes and its part of its directory included.
func TestMemoryOfAnIndex(t *testing.T) {
	const files, most = 200_000, 90
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	x := newIndexer(DefaultMaxSize)
	for i := range files {
		e := images.Entry{
			Path: fmt.Sprintf("/srv/%d/%d/some-file-%d", i/10_000, i/100, i), Type: images.Regular, Mode: 0o644, Size: int64(i),
			ModTime: time.Unix(1.7e9, int64(i)).UTC(), Xattrs: map[string]string{"security.selinux": "system_u:object_r:var_t:s0"},
		}
		imagetest.Must(t, x.add(e, int64(i)*blockSize))
	}
	index := x.finish()
	each := float64(int64(live())-int64(before)) / files
	t.Logf("%.0f bytes a file", each)
	if each > most {
		t.Errorf("the index keeps %.0f bytes of a file, want at most %d", each, most)
	}
	runtime.KeepAlive(index)
}
