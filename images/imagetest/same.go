package imagetest

import (
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"slices"
	"testing"

	"cloudlets/images"
)

// Same compares two sources file by file. It ignores lost+found, the directory
// that a filesystem makes for lost files, unless the wanted source has one.
func Same(t testing.TB, got, want images.Source) {
	t.Helper()
	seed := maphash.MakeSeed()
	g, w := snapshot(t, got, seed), snapshot(t, want, seed)
	if _, ok := w["/lost+found"]; !ok {
		delete(g, "/lost+found")
	}
	wrong := 0
	for _, path := range slices.Sorted(maps.Keys(w)) {
		if g[path] != w[path] && wrong < 10 {
			t.Errorf("%.80q:\ngot  %s\nwant %s", path, g[path], w[path])
			wrong++
		}
		delete(g, path)
	}
	for path := range g {
		t.Errorf("%.80q exists but should not", path)
	}
}

// snapshot returns a line for every path of a source. All names of one file get
// the same line, whichever of them the walk visited first.
func snapshot(t testing.TB, src images.Source, seed maphash.Seed) map[string]string {
	t.Helper()
	lines, names := map[string]string{}, map[string][]string{}
	first, buf := map[string]string{}, make([]byte, 1<<20)
	err := src.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
		if e.Type == images.HardLink {
			first[e.Path] = first[e.Link]
			names[first[e.Link]] = append(names[first[e.Link]], e.Path)
			return nil
		}
		if e.Type == images.FIFO {
			e.Size = 0
		}
		first[e.Path] = e.Path
		names[e.Path] = []string{e.Path}
		line := fmt.Sprintf("type %d mode %o owner %d:%d size %d time %d.%09d link %.60q device %d:%d xattrs %.300q",
			e.Type, e.Mode, e.UID, e.GID, e.Size, e.ModTime.Unix(), e.ModTime.Nanosecond(), e.Link, e.Major, e.Minor, fmt.Sprint(e.Xattrs))
		if content != nil {
			var h maphash.Hash
			h.SetSeed(seed)
			if _, err := io.CopyBuffer(&h, struct{ io.Reader }{content}, buf); err != nil {
				return err
			}
			line += fmt.Sprintf(" content %x", h.Sum64())
		}
		lines[e.Path] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, group := range names {
		slices.Sort(group)
		line := fmt.Sprintf("%s names %.200q", lines[path], group)
		for _, name := range group {
			lines[name] = line
		}
	}
	return lines
}
