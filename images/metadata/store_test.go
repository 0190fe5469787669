//go:build linux

package metadata

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"cloudlets/images"
)

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	if changed, err := Write(dir, File{}); changed || err != nil {
		t.Errorf("a file that says nothing is written: %v", err)
	}
	f := parse(t, golden)
	for _, want := range []bool{true, false} {
		if changed, err := Write(dir, f); changed != want || err != nil {
			t.Errorf("written %v, want %v: %v", changed, want, err)
		}
	}
	got, err := Read(dir)
	if err != nil || !got.Equal(f) {
		t.Errorf("read back %v", err)
	}
	names, err := os.ReadDir(filepath.Join(dir, images.Dir))
	if err != nil || len(names) != 1 {
		t.Errorf("beside it there is %v, %v", names, err)
	}
	if _, err := Read(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file reads as %v", err)
	}
}
