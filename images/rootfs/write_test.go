//go:build linux

package rootfs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"cloudlets/images"
)

func TestEverythingSurvives(t *testing.T) {
	needRoot(t)
	src := everything()
	dir := filepath.Join(t.TempDir(), "image")
	var entries int
	var bytes int64
	report, err := Write(t.Context(), dir, src, Options{Progress: func(e int, b int64) { entries, bytes = e, b }})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted(src), found(t, dir)); diff != "" {
		t.Errorf("what was written differs (-want +got):\n%s", diff)
	}
	if len(report.Lost) > 0 {
		t.Errorf("root lost %v", report.Lost)
	}
	if report.Entries != len(src.files) || entries != report.Entries || bytes != report.Bytes {
		t.Errorf("report %d entries, %d bytes; progress %d, %d; want %d entries", report.Entries, report.Bytes, entries, bytes, len(src.files))
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(dir, "lib/holes"), &st); err != nil {
		t.Fatal(err)
	}
	if used := st.Blocks * 512; used > 8*BlockSize {
		t.Errorf("a file of holes takes %d bytes of disk", used)
	}
	onlyHolds(t, filepath.Dir(dir), "image")
}

func TestRootOfASourceWithoutOne(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "image")
	if _, err := Write(t.Context(), dir, source(file("/a", "a", 0o644)), Options{}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the root has mode %v (%v), want 0755", info.Mode(), err)
	}
}

// TestNothingLeavesTheDirectory writes hostile sources and checks that the
// files beside the directory are untouched.
func TestNothingLeavesTheDirectory(t *testing.T) {
	root := folder("/", 0o755)
	for name, files := range map[string][]memFile{
		"dot-dot":              {root, file("/../evil", "evil", 0o644)},
		"dot-dot-inside":       {root, folder("/a", 0o755), file("/a/../../evil", "evil", 0o644)},
		"dot-dot-directory":    {root, folder("/..", 0o755), folder("/../evil", 0o755)},
		"relative":             {root, file("evil", "evil", 0o644)},
		"empty":                {root, file("", "evil", 0o644)},
		"double-slash":         {root, folder("/a", 0o755), file("/a//evil", "evil", 0o644)},
		"symlink-out":          {root, symlink("/out", ".."), file("/out/evil", "evil", 0o644)},
		"symlink-out-deep":     {root, symlink("/out", ".."), folder("/out/evil", 0o755)},
		"symlink-then-file":    {root, symlink("/x", "../canary"), file("/x", "evil", 0o644)},
		"symlink-as-directory": {root, symlink("/x", ".."), folder("/x", 0o700)},
		"hard-link-out":        {root, hardLink("/x", "/../canary")},
		"hard-link-by-symlink": {root, symlink("/out", ".."), hardLink("/x", "/out/canary")},
		"hard-link-directory":  {root, folder("/d", 0o755), hardLink("/x", "/d")},
		"device-through-link":  {root, symlink("/out", ".."), node("/out/evil", images.CharDevice, 1, 3)},
		"root-is-a-file":       {file("/", "evil", 0o644)},
		"file-twice":           {root, file("/x", "1", 0o644), file("/x", "2", 0o644)},
		"file-over-directory":  {root, folder("/x", 0o755), file("/x", "2", 0o644)},
		"directory-over-file":  {root, file("/x", "2", 0o644), folder("/x", 0o755), file("/x/y", "", 0o644)},
		"no-parent":            {root, file("/a/b", "x", 0o644)},
		"no-type":              {root, {Entry: images.Entry{Path: "/x"}}},
		"short-content":        {root, file("/x", "short", 0o644).with(func(e *images.Entry) { e.Size = 100 })},
		"short-large-content":  {root, file("/x", "short", 0o644).with(func(e *images.Entry) { e.Size = 2 * smallFile })},
		"no-content":           {root, {Entry: images.Entry{Path: "/x", Type: images.Regular, Size: 5}}},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			canary := filepath.Join(base, "canary")
			if err := os.WriteFile(canary, []byte("alive"), 0o640); err != nil {
				t.Fatal(err)
			}
			_, err := Write(t.Context(), filepath.Join(base, "image"), source(files...), Options{})
			if err == nil {
				t.Fatal("the source was taken")
			}
			onlyHolds(t, base, "canary")
			info, err := os.Lstat(canary)
			if text, _ := os.ReadFile(canary); string(text) != "alive" || err != nil || info.Mode() != 0o640 {
				t.Errorf("the file beside it is %q, %v, %v", text, info.Mode(), err)
			}
		})
	}
}

func TestOnlyIntoAnEmptyPlace(t *testing.T) {
	needRoot(t)
	base := t.TempDir()
	at := func(name string) string { return filepath.Join(base, name) }
	for _, err := range []error{
		os.MkdirAll(at("full/x"), 0o755), os.Mkdir(at("empty"), 0o755), os.Mkdir(at("behind"), 0o755),
		os.WriteFile(at("file"), nil, 0o644), os.Symlink("behind", at("link")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	mountTmpfs(t, at("mounted"), "size=1m")
	for name, want := range map[string]string{
		"empty": "", "link": "", "new": "",
		"full": "not empty", "file": "not a directory", "mounted": "mounted", "no/parent": "no such file",
	} {
		_, err := Write(t.Context(), at(name), source(file("/a", name, 0o644)), Options{NoSync: true})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error %v, want one with %q", name, err, want)
		case want == "":
			if text, _ := os.ReadFile(filepath.Join(at(name), "a")); string(text) != name {
				t.Errorf("%s holds %q", name, text)
			}
		}
	}
	if target, err := os.Readlink(at("link")); target != "behind" {
		t.Errorf("the link to the directory became %q (%v)", target, err)
	}
	onlyHolds(t, base, "full", "empty", "behind", "file", "link", "mounted", "new")
	onlyHolds(t, at("mounted"))
}

func TestAFailureLeavesNothing(t *testing.T) {
	broken := errors.New("the tarball is truncated")
	src := everything()
	src.failing = broken
	base := t.TempDir()
	if _, err := Write(t.Context(), filepath.Join(base, "image"), src, Options{}); !errors.Is(err, broken) {
		t.Errorf("error %v, want the source's", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := func(int, int64) { cancel() }
	if _, err := Write(ctx, filepath.Join(base, "image"), everything(), Options{Progress: stop}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was cancelled", err)
	}
	onlyHolds(t, base)
}

func TestFullDisk(t *testing.T) {
	base := filepath.Join(t.TempDir(), "disk")
	mountTmpfs(t, base, "size=2m")
	var files []memFile
	for i := range 64 {
		files = append(files, file(fmt.Sprintf("/f%d", i), strings.Repeat("x", 100_000), 0o644))
	}
	_, err := Write(t.Context(), filepath.Join(base, "image"), source(files...), Options{})
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("error %v, want that the disk is full and what to do", err)
	}
	onlyHolds(t, base)
}
