//go:build linux

package tarball

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/imagetest"
)

func TestPAXTime(t *testing.T) {
	for want, at := range map[string]time.Time{
		"0": time.Unix(0, 0), "1": time.Unix(1, 0), "-1": time.Unix(-1, 0), "-0.5": time.Unix(-1, 5e8), "-1.000000001": time.Unix(-2, 999_999_999),
		"1.000000001": time.Unix(1, 1), "8589934592.1": time.Unix(1<<33, 1e8),
	} {
		if got := paxTime(at); got != want {
			t.Errorf("%v is %s, want %s", at, got, want)
		}
	}
}

// FuzzHeader writes an entry and reads it again.
func FuzzHeader(f *testing.F) {
	f.Add("hosts", "to", uint8(1), uint32(0o644), uint32(1000), int64(1e9), int64(0), "user.a", "b")
	f.Add(strings.Repeat("\xff", 200), strings.Repeat("ö", 100), uint8(3), uint32(0o7777), uint32(1<<31), int64(-5), int64(7), "user.%3D=", "\x00")
	f.Add("a", "b", uint8(5), uint32(1), uint32(1), int64(1<<34), int64(999_999_999), "trusted.x", strings.Repeat("9", 995))
	f.Fuzz(func(t *testing.T, p, link string, kind uint8, mode, id uint32, seconds, nanos int64, xattr, value string) {
		e := images.Entry{
			Path: images.CleanPath(p), Type: images.Type(kind%7 + 1), Mode: mode & 0o7777, UID: min(id, maxID), GID: min(^id, maxID),
			ModTime: time.Unix(seconds%(1<<40), (nanos%1e9+1e9)%1e9).UTC(),
		}
		if !strings.ContainsRune(xattr, 0) && storable(xattr, e.Type) {
			e.Xattrs = map[string]string{xattr: value}
		}
		tree := imagetest.Files{{Entry: images.Entry{Path: "/", Type: images.Directory, Mode: 0o755, ModTime: time.Unix(0, 0).UTC()}}}
		switch e.Type {
		case images.Symlink:
			e.Link = link
		case images.HardLink:
			e.Link = images.CleanPath(link)
			e.Xattrs = nil
			tree = append(tree, images.File{Entry: images.Entry{Path: e.Link, Type: images.FIFO, ModTime: time.Unix(0, 0).UTC()}})
		case images.CharDevice, images.BlockDevice:
			e.Major, e.Minor = mode%(1<<12), id%(1<<20)
		}
		if !inRoot(e.Path) || e.Type == images.HardLink && (!inRoot(e.Link) || e.Link == e.Path) || strings.ContainsRune(link, 0) || checkEntry(e) != nil || len(xattr) > maxXattrName || len(value) > maxXattr {
			return
		}
		added := images.File{Entry: e}
		if e.Type == images.Regular {
			added.Content = []byte{}
		}
		tree = append(tree, added)
		if diff := cmp.Diff(tree, forgetting(imagetest.All(t, inMemory(t, tarBytes(t, tree))), func(got *images.Entry) {
			if got.Type == images.HardLink {
				*got = e
			}
		})); diff != "" {
			t.Error(diff)
		}
	})
}

// inRoot says whether a path may be a file of the root directory.
func inRoot(p string) bool {
	return p != "/" && len(p) < 256 && strings.LastIndexByte(p, '/') == 0 && !strings.ContainsRune(p, 0)
}
