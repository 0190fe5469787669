package preinit

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/disk"
)

// TestMirrorLayout: the partitions of a mirror are found by the second disk if the first one
// cannot be read.
func TestMirrorLayout(t *testing.T) {
	const size = 512 << 20
	first, err := disk.NewLayout(size, 512, disk.Options{Seed: "test", Slots: true, Mirror: true, Persistent: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Second(size + 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, l disk.Layout) string {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		table, err := l.Table()
		if err != nil {
			t.Fatal(err)
		}
		_, err1 := f.WriteAt(table.First, 0)
		_, err2 := f.WriteAt(table.Backup, table.BackupOffset)
		if err := errors.Join(err1, err2, f.Truncate(l.Size)); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	one, two, gone := write("one", first), write("two", second), filepath.Join(dir, "gone")
	for name, d := range map[string]*rootDisk{
		"both":              {file: one, size: size, mirror: two, mirrorSize: second.Size, sector: 512, onMirror: true},
		"the first is gone": {file: gone, size: size, mirror: two, mirrorSize: second.Size, sector: 512, onMirror: true},
		"only the first":    {file: one, size: size, sector: 512, onMirror: true},
	} {
		if l, err := d.layout(); err != nil || l.Persistent.Offset != first.Persistent.Offset || l.Persistent.Number != 4 {
			t.Errorf("%s: got %+v, %v", name, l, err)
		}
	}
	neither := &rootDisk{file: gone, size: size, mirror: gone + "-too", mirrorSize: size, sector: 512, onMirror: true}
	if _, err := neither.layout(); err == nil || !strings.Contains(err.Error(), gone+"-too") {
		t.Errorf("if neither is there: %v", err)
	}
}
