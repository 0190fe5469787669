package oci

import (
	"fmt"
	"runtime"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cloudlets/images"
)

// TestMemoryOfAList counts what an image keeps of each of its files once they
// are known, its name of 16 bytes included. A tenth of the files is in the upper
// layer too.
func TestMemoryOfAList(t *testing.T) {
	const files, most = 100_000, 120
	layout := manyFiles(t, files)
	im := mustOpen(t, layout, Options{})
	before := liveHeap()
	count := 0
	if err := images.Paths(t.Context(), im, func(string) error { count++; return nil }); err != nil || count < files {
		t.Fatalf("%d paths, %v; want at least %d", count, err, files)
	}
	each := float64(int64(liveHeap())-int64(before)) / files
	t.Logf("%.0f bytes a file", each)
	if each > most {
		t.Errorf("the list keeps %.0f bytes of a file, want at most %d", each, most)
	}
	runtime.KeepAlive(im)
}

func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// manyFiles writes an image of so many files in two layers.
func manyFiles(t *testing.T, files int) string {
	var low, up []item
	for i := range files {
		file := reg(fmt.Sprintf("srv/%d/%d/some-file-%d", i/10_000, i/100, i), "x")
		if low = append(low, file); i%10 == 0 {
			up = append(up, file)
		}
	}
	return writeLayout(t, map[string]v1.Image{"v1": makeImage(t, "amd64", low, up)})
}
