//go:build linux

package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/testdata/needs"
)

// files is a source in memory, visited in its order.
type files []File

func (s files) Walk(ctx context.Context, visit VisitFunc) error {
	for _, f := range s {
		if err := ctx.Err(); err != nil {
			return err
		}
		var content io.Reader
		if f.Type == Regular {
			content = bytes.NewReader(f.Content)
		}
		if err := visit(f.Entry, content); err != nil {
			return err
		}
	}
	return nil
}

// all reads a whole source.
func all(t *testing.T, s Source) files {
	t.Helper()
	var got files
	err := s.Walk(t.Context(), func(e Entry, content io.Reader) error {
		f := File{Entry: e}
		if content != nil {
			var err error
			if f.Content, err = io.ReadAll(content); err != nil || int64(len(f.Content)) != e.Size {
				return fmt.Errorf("%s: %d bytes of %d: %w", e.Path, len(f.Content), e.Size, err)
			}
		}
		got = append(got, f)
		return nil
	})
	must(t, err)
	return got
}

// randomTree makes files of every kind with names, owners, times and
// attributes of every kind, in the order of a [DirSource].
func randomTree(seed uint64, n int) files {
	r := rand.New(rand.NewPCG(seed, 0))
	dirs := []string{"/"}
	tree := files{{Entry: Entry{Path: "/", Type: Directory, Mode: 0o755, ModTime: time.Unix(1e9, 0).UTC()}}}
	seen := map[string]bool{}
	var linkable []string
	for i := range n {
		e := Entry{Path: path.Join(dirs[r.IntN(len(dirs))], randomName(r)), Type: Type(1 + r.IntN(7)), Mode: r.Uint32N(0o10000), UID: randomID(r), GID: randomID(r), ModTime: randomTime(r)}
		if seen[e.Path] || len(e.Path) > 1500 {
			continue
		}
		seen[e.Path] = true
		f := File{Entry: e}
		randomKind(r, &f, linkable, i)
		switch f.Type {
		case Directory:
			dirs = append(dirs, f.Path)
		case Regular, FIFO, Symlink:
			linkable = append(linkable, f.Path)
		}
		tree = append(tree, f)
	}
	return inOrder(tree)
}

// inOrder sorts a tree as a directory is walked. The first name of a file
// with several becomes the file.
func inOrder(tree files) files {
	named := map[string]File{}
	for _, f := range tree {
		named[f.Path] = f
	}
	slices.SortFunc(tree, func(a, b File) int {
		return strings.Compare(strings.ReplaceAll(a.Path, "/", "\x00"), strings.ReplaceAll(b.Path, "/", "\x00"))
	})
	first := map[string]string{}
	for i, f := range tree {
		file := f.Path
		if f.Type == HardLink {
			file = f.Link
		}
		if name, ok := first[file]; ok {
			tree[i] = File{Entry: Entry{Path: f.Path, Type: HardLink, Link: name}}
			continue
		}
		first[file] = f.Path
		tree[i] = named[file]
		tree[i].Path = f.Path
	}
	return tree
}

// randomKind fills in what belongs to a file's type.
func randomKind(r *rand.Rand, f *File, linkable []string, i int) {
	if f.Type == HardLink && len(linkable) == 0 {
		f.Type = Regular
	}
	switch f.Type {
	case Regular:
		f.Content = bytes.Repeat([]byte(fmt.Sprintf("%d,", i)), r.IntN(700))
		f.Size = int64(len(f.Content))
	case Symlink:
		f.Mode, f.Link = 0o777, strings.Repeat("../\xe4ö", 1+r.IntN(60))
	case HardLink:
		f.Link = linkable[r.IntN(len(linkable))]
		return
	case CharDevice, BlockDevice:
		f.Major, f.Minor = 1+r.Uint32N(400), r.Uint32N(1<<20)
	}
	if r.IntN(3) == 0 {
		f.Xattrs = map[string]string{"trusted.b": "\x00\xff\n=", "trusted.a": strings.Repeat("long", r.IntN(300))}
	}
	if f.Type == Regular && r.IntN(3) == 0 {
		f.Xattrs = map[string]string{"user.empty": "", "user.a=b%3D": "=", "security.capability": capNetRaw}
	}
}

func randomName(r *rand.Rand) string {
	switch n := r.Uint32(); r.IntN(7) {
	case 0:
		return fmt.Sprintf("-%x", n)
	case 1:
		return fmt.Sprintf("line\nend \\n %x ", n)
	case 2:
		return fmt.Sprintf("\xff\xfe%x", n)
	case 3:
		return fmt.Sprintf("größe-%x", n)
	case 4:
		return strings.Repeat("l", 80+r.IntN(160)) + fmt.Sprintf("%x", n)
	case 5:
		return strings.Repeat("\xe4", 80+r.IntN(160)) + fmt.Sprintf("%x", n)
	default:
		return fmt.Sprintf("f%x", n)
	}
}

func randomID(r *rand.Rand) uint32 {
	return []uint32{0, 7, 1000, 1<<21 - 1, 1 << 21, maxID}[r.IntN(6)]
}

func randomTime(r *rand.Rand) time.Time {
	seconds := []int64{0, 1, -1, -1_000_000_000, 1e9, 1 << 33}[r.IntN(6)]
	return time.Unix(seconds, []int64{0, 0, 1, 500_000_000, 999_999_999}[r.IntN(5)]).UTC()
}

func tarBytes(t *testing.T, s Source) []byte {
	t.Helper()
	var b bytes.Buffer
	must(t, WriteTar(t.Context(), &b, s))
	return b.Bytes()
}

func TestTarIsReadAsItWasWritten(t *testing.T) {
	for seed := range uint64(12) {
		want := randomTree(seed, 60)
		text := tarBytes(t, want)
		got := forgetting(all(t, inMemory(t, text)), func(*Entry) {})
		if diff := cmp.Diff(all(t, want), got); diff != "" {
			t.Fatalf("tree %d: %s", seed, diff)
		}
		if !bytes.Equal(text, tarBytes(t, want)) {
			t.Fatalf("tree %d: the same source gives another tarball", seed)
		}
	}
}

// TestForeignTarsExtractOurs has other tools extract trees with one of
// everything. Each is compared in what it knows.
func TestForeignTarsExtractOurs(t *testing.T) {
	for _, tt := range []struct {
		name, pkg string
		command   []string
		forgets   func(*Entry)
	}{
		{"GNU tar", "tar", []string{"tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"}, func(*Entry) {}},
		{"GNU tar in the C locale", "tar", []string{"env", "LC_ALL=C", "tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"}, func(*Entry) {}},
		{"GNU tar in a UTF-8 locale", "tar", []string{"env", "LC_ALL=C.UTF-8", "tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"}, func(*Entry) {}},
		{"bsdtar", "libarchive-tools", []string{"bsdtar", "--numeric-owner", "-xpf"}, bsdtarForgets},
		{"bsdtar in a UTF-8 locale", "libarchive-tools", []string{"env", "LC_ALL=C.UTF-8", "bsdtar", "--numeric-owner", "-xpf"}, bsdtarForgets},
		{"busybox tar", "busybox", []string{"busybox", "tar", "--numeric-owner", "-xpf"}, busyboxForgets},
	} {
		t.Run(tt.name, func(t *testing.T) {
			needs.Root(t)
			if tt.command[0] == "env" {
				needs.Tool(t, tt.command[2], tt.pkg)
			}
			for seed := range uint64(2) {
				tree := randomTree(100+seed, 60)
				dir := t.TempDir()
				args := slices.Concat(tt.command[1:], []string{writeTemp(t, tarBytes(t, tree)), "-C", dir})
				run(t, tt.pkg, tt.command[0], args...)
				d, err := NewDirSource(dir)
				must(t, err)
				if diff := cmp.Diff(forgetting(all(t, tree), tt.forgets), forgetting(all(t, d), tt.forgets)); diff != "" {
					t.Fatalf("tree %d: %s", seed, diff)
				}
			}
		})
	}
}

// bsdtarForgets: version 3.6 adds the fraction of a second before 1970 to the
// wrong side, and leaves the time of the folder that it extracts to.
func bsdtarForgets(e *Entry) {
	e.Xattrs = nil
	if e.Path == "/" || e.ModTime.Before(time.Unix(1, 0)) {
		e.ModTime = time.Time{}
	}
}

// busyboxForgets: of symbolic links the owner, of directories the time.
func busyboxForgets(e *Entry) {
	e.Xattrs, e.ModTime = nil, e.ModTime.Truncate(time.Second)
	switch e.Type {
	case Symlink:
		e.UID, e.GID, e.ModTime = 0, 0, time.Time{}
	case Directory:
		e.ModTime = time.Time{}
	}
}

// forgetting is a tree without what a tool forgets, and without what a tar
// may say of a hard link besides.
func forgetting(tree files, forget func(*Entry)) files {
	for i, f := range tree {
		if f.Type == HardLink {
			tree[i] = File{Entry: Entry{Path: f.Path, Type: HardLink, Link: f.Link}}
		}
		forget(&tree[i].Entry)
	}
	return tree
}

func TestTarHoldsLargeFiles(t *testing.T) {
	const size = 9 << 30 // more than the standard's octal digits can say
	var h tarHeader
	blocks, err := h.encode(Entry{Path: "/large", Type: Regular, Size: size})
	must(t, err)
	got, err := tar.NewReader(bytes.NewReader(blocks)).Next()
	if err != nil || got.Size != size {
		t.Errorf("header %+v, %v", got, err)
	}
}

func TestTarOfAnUnsoundSource(t *testing.T) {
	file := func(f File) files { f.Path = "/etc/f"; return files{f} }
	for name, tt := range map[string]struct {
		src  Source
		want string
	}{
		"short":   {file(File{Entry: Entry{Type: Regular, Size: 5}, Content: []byte("123")}), "write /etc/f to the tarball: it has 3 bytes of 5"},
		"no type": {file(File{}), "write /etc/f to the tarball: it has the unknown type 0"},
		"strange": {file(File{Entry: Entry{Type: 99}}), "write /etc/f to the tarball: it has the unknown type 99"},
		"xattr":   {file(File{Entry: Entry{Type: FIFO, Xattrs: map[string]string{"a\x00b": ""}}}), `impossible name "a\x00b"`},
	} {
		if err := WriteTar(t.Context(), io.Discard, tt.src); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", name, err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := WriteTar(ctx, io.Discard, files{}); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	reader, writer := io.Pipe()
	reader.CloseWithError(fs.ErrClosed)
	if err := WriteTar(t.Context(), writer, randomTree(1, 5)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("error %v, want the writer's", err)
	}
}

func TestTarOfARealTree(t *testing.T) {
	root := testRoot(t)
	must(t, os.Mkdir(filepath.Join(root, "copy"), 0o755))
	d, err := NewDirSource(root)
	must(t, err)
	if diff := cmp.Diff(listing(t, d), listing(t, inMemory(t, tarBytes(t, d)))); diff != "" {
		t.Error(diff)
	}
}
