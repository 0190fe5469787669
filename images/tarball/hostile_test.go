//go:build linux

package tarball

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/filelist"
	"cloudlets/images/imagetest"
	"cloudlets/testdata/needs"
)

// compressions are the tools that pack tarballs, and their Debian packages.
var compressions = []struct{ name, pkg string }{{"gzip", "gzip"}, {"zstd", "zstd"}, {"xz", "xz-utils"}, {"bzip2", "bzip2"}}

// compressed has a foreign tool pack what r reads.
func compressed(t *testing.T, tool, pkg string, r io.Reader) []byte {
	t.Helper()
	imagetest.Run(t, pkg, tool, "--version")
	args := []string{"-c"}
	if tool == "xz" {
		args = append(args, "-0")
	}
	cmd := exec.Command(tool, args...)
	cmd.Stdin = r
	out, err := cmd.Output()
	imagetest.Must(t, err)
	return out
}

// zeros reads zeros without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// sparseTar is an old GNU header of a file of a size, which but for the data
// at an offset is a hole.
func sparseTar(name string, size, at int64, data string) []byte {
	block := rawHeader(name, tar.TypeGNUSparse, int64(len(data)))
	field{386, 12}.put(block, at)
	field{398, 12}.put(block, int64(len(data)))
	field{483, 12}.put(block, size)
	field{257, 8}.putText(block, "ustar  \x00")
	sum := 8 * int(' ')
	for i, b := range block {
		if i < checksumField.at || i >= checksumField.at+checksumField.size {
			sum += int(b)
		}
	}
	copy(checksumField.of(block), fmt.Sprintf("%06o\x00 ", sum))
	return append(block, append([]byte(data), make([]byte, padding(int64(len(data))))...)...)
}

// forms are the ways to read one tarball: as a file, packed, and as a stream.
func forms(t *testing.T, data []byte) map[string]*Tarball {
	t.Helper()
	return map[string]*Tarball{
		"file": New(imagetest.WriteTemp(t, data)), "stream": inMemory(t, data),
		"packed file":   New(imagetest.WriteTemp(t, compressed(t, "gzip", "gzip", bytes.NewReader(data)))),
		"packed stream": inMemory(t, compressed(t, "zstd", "zstd", bytes.NewReader(data))),
	}
}

func TestTreeEqualsTheWalk(t *testing.T) {
	d, err := dirtree.Open(imagetest.OneOfEach(t))
	imagetest.Must(t, err)
	data, err := os.ReadFile(imagetest.TarOf(t, d))
	imagetest.Must(t, err)
	want := imagetest.Listing(t, d)
	for name, s := range forms(t, data) {
		t.Run(name, func(t *testing.T) {
			s.TempDir = t.TempDir()
			checkSource(t, s)
			if diff := cmp.Diff(want, imagetest.Listing(t, s)); diff != "" {
				t.Error(diff)
			}
			tree, err := s.Tree(t.Context())
			imagetest.Must(t, err)
			if text, err := images.ReadFile(tree, "/conf/hosts", 100); string(text) != "127.0.0.1 localhost\n" {
				t.Errorf("read by a link: %q, %v", text, err)
			}
			if _, err := tree.Entry("/conf/hosts"); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("an entry by a link: %v", err)
			}
			if left, err := os.ReadDir(s.TempDir); err != nil || len(left) > 0 {
				t.Errorf("the temporary file has a name: %v, %v", left, err)
			}
			imagetest.Must(t, s.Close(), s.Close())
			if _, err := tree.Open("/etc/hosts"); !errors.Is(err, os.ErrClosed) {
				t.Errorf("after Close a file opens: %v", err)
			}
			if _, err := imagetest.Visited(s); s.path == "" && !errors.Is(err, os.ErrClosed) || s.path != "" && err != nil {
				t.Errorf("walk after Close: %v", err)
			}
		})
	}
}

// TestTarSparseFiles reads each form in which GNU tar keeps holes.
func TestTarSparseFiles(t *testing.T) {
	root := t.TempDir()
	want := make([]byte, 3<<20+11)
	f, err := os.Create(filepath.Join(root, "many-holes"))
	imagetest.Must(t, err)
	for i := range 30 {
		text := []byte(fmt.Sprintf("data %d", i))
		copy(want[i*100_003:], text)
		_, err := f.WriteAt(text, int64(i*100_003))
		imagetest.Must(t, err)
	}
	imagetest.Must(t, f.Truncate(int64(len(want))), f.Close())
	imagetest.Must(t, os.WriteFile(filepath.Join(root, "after"), []byte("after"), 0o644))
	for name, flags := range map[string][]string{
		"old GNU": {"--format=gnu"}, "0.0": {"--format=posix", "--sparse-version=0.0"},
		"0.1": {"--format=posix", "--sparse-version=0.1"}, "1.0": {"--format=posix", "--sparse-version=1.0"},
	} {
		file := filepath.Join(t.TempDir(), "x.tar")
		imagetest.Run(t, "tar", "tar", append([]string{"-C", root, "--sparse", "-cf", file, "many-holes", "after"}, flags...)...)
		data, err := os.ReadFile(file)
		if imagetest.Must(t, err); len(data) > 1<<20 {
			t.Fatalf("%s: tar kept the holes: %d bytes", name, len(data))
		}
		for form, s := range forms(t, data) {
			checkSource(t, s)
			tree, err := s.Tree(t.Context())
			imagetest.Must(t, err)
			got, err1 := images.ReadFile(tree, "/many-holes", 1<<30)
			after, err2 := images.ReadFile(tree, "/after", 100)
			if imagetest.Must(t, err1, err2, s.Close()); !bytes.Equal(got, want) || string(after) != "after" {
				t.Errorf("%s, %s: it reads otherwise, or what follows it does: %q", name, form, after)
			}
		}
	}
}

// TestTarLargeFiles reads 5 GiB, once as a hole and once as zeros, of which
// neither takes room on the disk.
func TestTarLargeFiles(t *testing.T) {
	const size = 5 << 30
	hole := append(sparseTar("f", size, size-4, "tail"), archive(t, entry(tar.TypeReg, "g", ""))...)
	long := io.MultiReader(bytes.NewReader(rawHeader("f", tar.TypeReg, size)), io.LimitReader(zeros{}, size-4),
		strings.NewReader("tail"), bytes.NewReader(archive(t, entry(tar.TypeReg, "g", ""))))
	for name, s := range map[string]*Tarball{"hole": inMemory(t, hole), "zeros": NewStream("zeros", long)} {
		s.TempDir = t.TempDir()
		tree, err := s.Tree(t.Context())
		imagetest.Must(t, err)
		r, err := tree.Open("/f")
		imagetest.Must(t, err)
		if sr, ok := r.(io.Seeker); ok {
			_, err = sr.Seek(size-4, io.SeekStart)
		} else {
			_, err = io.CopyN(io.Discard, r, size-4)
		}
		imagetest.Must(t, err)
		tail, err1 := io.ReadAll(r)
		g, err2 := images.ReadFile(tree, "/g", 9)
		if e, err := tree.Entry("/f"); e.Size != size || string(tail) != "tail" || string(g) != "g" {
			t.Errorf("%s: %+v, %q, %q: %v, %v, %v", name, e, tail, g, err, err1, err2)
		}
		imagetest.Must(t, s.Close())
	}
}

func TestTarManyFilesInOneFolder(t *testing.T) {
	const n = 70_000
	var b bytes.Buffer
	block := rawHeader("d/00000", tar.TypeReg, 0)
	sum, err := strconv.ParseInt(string(checksumField.of(block)[:6]), 8, 64)
	imagetest.Must(t, err)
	for i := range n {
		name, added := fmt.Sprintf("d/%05d", (i*40_503)%n), int64(0)
		for _, digit := range name[2:] {
			added += int64(digit - '0')
		}
		nameField.putText(block, name)
		copy(checksumField.of(block), fmt.Sprintf("%06o", sum+added))
		b.Write(block)
	}
	b.Write(make([]byte, 2*blockSize))
	s := New(imagetest.WriteTemp(t, b.Bytes()))
	tree, err := s.Tree(t.Context())
	imagetest.Must(t, err)
	list, err := tree.ReadDir("/d")
	if imagetest.Must(t, err, s.Close()); len(list) != n || !slices.IsSortedFunc(list, func(a, b images.Entry) int { return strings.Compare(a.Path, b.Path) }) {
		t.Errorf("%d files, or they are not sorted", len(list))
	}
}

// TestTarBombs unpacks what is small and becomes large, in every form.
func TestTarBombs(t *testing.T) {
	bomb := func() io.Reader {
		return io.MultiReader(bytes.NewReader(rawHeader("x", tar.TypeReg, 16<<20)), io.LimitReader(zeros{}, 16<<20+1024))
	}
	bombs := map[string][]byte{
		"a hole":         append(sparseTar("x", 8<<40, 0, "data"), make([]byte, 1024)...),
		"many holes":     append(bytes.Repeat(sparseTar("x", 1<<20, 0, "data"), 9), make([]byte, 1024)...),
		"a large folder": bytes.Repeat(rawHeader("d/", tar.TypeDir, 0), 10_000),
	}
	for _, c := range compressions {
		bombs[c.name] = compressed(t, c.name, c.pkg, bomb())
		if len(bombs[c.name]) > 1<<20 {
			t.Fatalf("%s: %d bytes are no bomb", c.name, len(bombs[c.name]))
		}
	}
	for name, data := range bombs {
		for form, s := range map[string]*Tarball{"file": New(imagetest.WriteTemp(t, data)), "stream": inMemory(t, data)} {
			s.MaxSize = 4 << 20
			got, err := imagetest.Visited(s)
			if err == nil || !strings.Contains(err.Error(), "more than 4 MiB") || !strings.Contains(err.Error(), "--max-size") || got != "" {
				t.Errorf("%s, %s: visits %q, %v", name, form, got, err)
			}
			if _, err := s.Tree(t.Context()); err == nil {
				t.Errorf("%s, %s: there is a tree", name, form)
			}
			imagetest.Must(t, s.Close())
		}
	}
}

func TestTarOfExactlyMaxSize(t *testing.T) {
	data := archive(t, entry(tar.TypeReg, "x", ""))
	for _, form := range []string{"file", "stream", "packed file", "packed stream"} {
		for over := range int64(2) {
			s := forms(t, data)[form]
			s.MaxSize = int64(len(data)) - over
			if _, err := imagetest.Visited(s); (err == nil) != (over == 0) {
				t.Errorf("%s, %d byte too much: %v", form, over, err)
			}
			imagetest.Must(t, s.Close())
		}
	}
}

// TestTarListsAreBounded counts what the list of files takes in memory, that
// of the directories nobody named as well.
func TestTarListsAreBounded(t *testing.T) {
	deep := func(i int) images.Entry {
		return images.Entry{Path: fmt.Sprintf("/%d%s", i, strings.Repeat("/d", 1000)), Type: images.Directory}
	}
	flat := func(i int) images.Entry { return images.Entry{Path: fmt.Sprintf("/%d", i), Type: images.FIFO} }
	again := func(int) images.Entry { return images.Entry{Path: "/x", Type: images.FIFO} }
	for name, next := range map[string]func(int) images.Entry{"deep": deep, "flat": flat, "again": again} {
		x := newIndexer(DefaultMaxSize)
		x.maxMemory = 1 << 20
		var err error
		for i := 0; err == nil && i < 100_000; i++ {
			err = x.add(next(i), int64(i))
		}
		if err == nil || !strings.Contains(err.Error(), "more than 1 MiB of memory") || x.Len() > 1<<20/filelist.Cost {
			t.Errorf("%s: %d files, %v", name, x.Len(), err)
		}
	}
}

func TestTarCompressedTwice(t *testing.T) {
	data := archive(t, entry(tar.TypeReg, "x", ""))
	for _, outer := range compressions {
		twice := compressed(t, outer.name, outer.pkg, bytes.NewReader(compressed(t, "xz", "xz-utils", bytes.NewReader(data))))
		if got, err := imagetest.Visited(inMemory(t, twice)); err == nil || !strings.Contains(err.Error(), "compressed twice, with xz within "+outer.name) {
			t.Errorf("%s: visits %q, %v", outer.name, got, err)
		}
	}
}

// TestTarInPieces joins compressed streams, as their tools allow.
func TestTarInPieces(t *testing.T) {
	data := archive(t, entry(tar.TypeReg, "x", ""), entry(tar.TypeReg, "y", ""))
	for _, c := range compressions {
		var joined []byte
		for part := range slices.Chunk(data, 700) {
			joined = append(joined, compressed(t, c.name, c.pkg, bytes.NewReader(part))...)
		}
		if got, err := imagetest.Visited(inMemory(t, joined)); got != "/ /x /y" || err != nil {
			t.Errorf("%s: visits %q, %v", c.name, got, err)
		}
		if got, err := imagetest.Visited(inMemory(t, append(joined, "garbage, and more of it"...))); err == nil || got != "" {
			t.Errorf("%s with garbage at its end: visits %q, %v", c.name, got, err)
		}
	}
	skippable := append([]byte{0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'a', 'b', 'c'}, compressed(t, "zstd", "zstd", bytes.NewReader(data))...)
	if got, err := imagetest.Visited(inMemory(t, skippable)); got != "/ /x /y" || err != nil {
		t.Errorf("zstd with a frame to skip: visits %q, %v", got, err)
	}
}

func TestTarThatIsPadded(t *testing.T) {
	data := archive(t, entry(tar.TypeReg, "x", ""))
	for _, rest := range [][]byte{nil, make([]byte, 9000), []byte("garbage"), bytes.Repeat([]byte("garbage "), 1000)} {
		if got, err := imagetest.Visited(inMemory(t, slices.Concat(data, rest))); got != "/ /x" || err != nil {
			t.Errorf("followed by %.10q: visits %q, %v", rest, got, err)
		}
	}
	if got, err := imagetest.Visited(inMemory(t, make([]byte, 10240))); got != "/" || err != nil {
		t.Errorf("a tarball of nothing: visits %q, %v", got, err)
	}
}

func TestTarNames(t *testing.T) {
	long := strings.Repeat("long/", 100) + strings.Repeat("n", 255)
	root := t.TempDir()
	names := []string{"new\nline", "tab\t", "not\xffutf8", "back\\slash", "-rf", "ünï", " ", long}
	for _, name := range names {
		file := filepath.Join(root, name)
		imagetest.Must(t, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(name), 0o644), os.Symlink(name, file[:len(file)-1]+"@"))
	}
	d, err := dirtree.Open(root)
	imagetest.Must(t, err)
	for _, format := range []string{"posix", "gnu"} {
		file := filepath.Join(t.TempDir(), "x.tar")
		imagetest.Run(t, "tar", "tar", "-C", root, "--sort=name", "--format="+format, "-cf", file, ".")
		s := New(file)
		if diff := cmp.Diff(imagetest.Listing(t, d), imagetest.Listing(t, s)); diff != "" {
			t.Errorf("%s: %s", format, diff)
		}
		checkSource(t, s)
		imagetest.Must(t, s.Close())
	}
}

func TestTarWithALabel(t *testing.T) {
	root, file := t.TempDir(), filepath.Join(t.TempDir(), "x.tar")
	imagetest.Must(t, os.WriteFile(filepath.Join(root, "x"), nil, 0o644))
	imagetest.Run(t, "tar", "tar", "-C", root, "--label=backup", "-cf", file, "x")
	if got, err := imagetest.Visited(New(file)); got != "/ /x" || err != nil {
		t.Errorf("visits %q, %v", got, err)
	}
}

func TestTarLeavesOutRepositories(t *testing.T) {
	data := archive(t, entry(tar.TypeReg, ".git/config", ""), entry(tar.TypeLink, "kept", ".git/config"), entry(tar.TypeReg, ".hg", ""),
		entry(tar.TypeReg, ".cloudlet/metadata", ""), entry(tar.TypeReg, "deep/.git/config", ""), entry(tar.TypeReg, ".github", ""))
	s := inMemory(t, data)
	if got, err := imagetest.Visited(s); got != "/ /kept /.cloudlet /deep /deep/.git /deep/.git/config /.github" || err != nil {
		t.Errorf("visits %q, %v", got, err)
	}
	checkSource(t, s)
}

// TestTarLaterEntriesCount has GNU tar extract what has names that come
// again, and compares.
func TestTarLaterEntriesCount(t *testing.T) {
	needs.Root(t) // to extract owners
	for name, headers := range map[string][]*tar.Header{
		"file":                    {entry('0', "x", ""), entry('0', "./x", "")},
		"file over a link":        {entry('2', "x", "etc"), entry('0', "x", "")},
		"link over a directory":   {entry('5', "x/", ""), entry('2', "x", "/etc")},
		"directory over a file":   {entry('0', "x", ""), entry('5', "x/", ""), entry('0', "x/y", "")},
		"hard link keeps the old": {entry('0', "first", ""), entry('1', "d/b", "first"), entry('1', "c", "first"), entry('2', "first", "new"), entry('5', "d", "")},
		"hard link over a file":   {entry('0', "a", ""), entry('0', "b", ""), entry('1', "b", "a")},
		"hard link to itself":     {entry('0', "a", ""), entry('1', "b", "a"), entry('1', "b", "a"), entry('1', "a", "b"), entry('1', "a", "a")},
		"link to a later file":    {entry('0', "a", ""), entry('0', "longer", ""), entry('1', "a", "longer"), entry('1', "c", "a"), entry('2', "longer", "x")},
	} {
		t.Run(name, func(t *testing.T) { sameAsExtracted(t, archive(t, headers...)) })
	}
}

// TestTarLikeGNUTar has both read tarballs in which names come again at
// random. What we refuse GNU tar may make something of.
func TestTarLikeGNUTar(t *testing.T) {
	needs.Root(t) // to extract owners
	names := []string{"a", "b", "d", "d/a", "d/b", "e", "e/a"}
	compared := 0
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		var headers []*tar.Header
		for range 6 {
			h := entry("00125"[random.IntN(5)], names[random.IntN(len(names))], names[random.IntN(len(names))])
			h.Uid = random.IntN(9)
			headers = append(headers, h)
		}
		data := archive(t, headers...)
		s := inMemory(t, data)
		checkSource(t, s)
		if _, err := imagetest.Visited(s); err == nil {
			compared++
			sameAsExtracted(t, data)
		}
	}
	if compared < 30 {
		t.Errorf("only %d tarballs were sound", compared)
	}
}

// sameAsExtracted compares a tarball with what GNU tar makes of it.
func sameAsExtracted(t *testing.T, data []byte) {
	t.Helper()
	root := t.TempDir()
	imagetest.Must(t, os.Chmod(root, 0o755))
	imagetest.Run(t, "tar", "tar", "-C", root, "--numeric-owner", "-xpf", imagetest.WriteTemp(t, data))
	d, err := dirtree.Open(root)
	imagetest.Must(t, err)
	if diff := cmp.Diff(byName(t, d), byName(t, inMemory(t, data))); diff != "" {
		t.Errorf("extracted (-), read (+): %s", diff)
	}
}

// byName lists what a source has in no order, with the number of names.
func byName(t *testing.T, s images.Source) map[string]string {
	t.Helper()
	names, first := map[string]string{}, map[string]string{}
	err := s.Walk(context.Background(), func(e images.Entry, r io.Reader) error {
		text := ""
		if r != nil {
			all, err := io.ReadAll(r)
			imagetest.Must(t, err)
			text = string(all)
			if len(all) > 4<<10 {
				text = fmt.Sprintf("%d bytes, %x", len(all), sha256.Sum256(all))
			}
		}
		names[e.Path] = fmt.Sprintf("%d %d %q %q", e.Type, e.UID, e.Link, text)
		if e.Type == images.HardLink {
			first[e.Path] = e.Link
		}
		return nil
	})
	imagetest.Must(t, err)
	groups := map[string][]string{}
	for p, target := range first {
		groups[target] = append(groups[target], p)
	}
	for target, links := range groups { // which of the names is the file does not matter
		what := names[target]
		links = append(links, target)
		slices.Sort(links)
		for _, p := range links {
			names[p] = fmt.Sprintf("%s of %q", what, links)
		}
	}
	return names
}

func TestTarThatChanges(t *testing.T) {
	file := imagetest.WriteTemp(t, archive(t, entry(tar.TypeReg, "x", "")))
	s := New(file)
	_, err := imagetest.Visited(s)
	imagetest.Must(t, err, os.Rename(imagetest.WriteTemp(t, archive(t, entry(tar.TypeReg, "other", ""))), file))
	if got, err := imagetest.Visited(s); !errors.Is(err, errChanged) || got != "" {
		t.Errorf("visits %q, %v", got, err)
	}
	tree, err := s.Tree(t.Context())
	if imagetest.Must(t, err); tree != nil {
		if text, err := images.ReadFile(tree, "/other", 9); string(text) != "other" {
			t.Errorf("the tree reads %q, %v", text, err)
		}
	}
	imagetest.Must(t, s.Close())
}

func TestTarStopsWhileItUnpacks(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	reads := 0
	endless := readFunc(func(p []byte) (int, error) {
		if reads++; reads == 10 {
			cancel()
		}
		clear(p)
		return len(p), nil
	})
	s := NewStream("endless", io.MultiReader(bytes.NewReader(rawHeader("x", tar.TypeReg, 1<<40)), endless))
	s.MaxSize = 1 << 42
	if _, err := s.Tree(ctx); !errors.Is(err, context.Canceled) || reads > 20 {
		t.Errorf("%v after %d reads", err, reads)
	}
}

type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

func TestTarIsReadByManyAtOnce(t *testing.T) {
	d, err := dirtree.Open(imagetest.OneOfEach(t))
	imagetest.Must(t, err)
	data, err := os.ReadFile(imagetest.TarOf(t, d))
	imagetest.Must(t, err)
	want := len(imagetest.Listing(t, d))
	for form, s := range forms(t, data) {
		results := make(chan error)
		for i := range 6 {
			go func() {
				n := 0
				count := func(images.Entry, io.Reader) error { n++; return nil }
				if i%2 == 0 {
					err := s.Walk(t.Context(), count)
					if err == nil && n != want {
						err = fmt.Errorf("%d visits, want %d", n, want)
					}
					results <- err
					return
				}
				tree, err := s.Tree(t.Context())
				if err == nil {
					_, err = images.ReadFile(tree, "/etc/hosts", 100)
				}
				results <- err
			}()
		}
		for range 6 {
			if err := <-results; err != nil {
				t.Errorf("%s: %v", form, err)
			}
		}
		imagetest.Must(t, s.Close())
	}
}

func TestTarDatesBefore1970(t *testing.T) {
	old := entry(tar.TypeReg, "x", "")
	old.ModTime, old.Format = time.Date(1901, 2, 3, 4, 5, 6, 700, time.UTC), tar.FormatPAX
	s := inMemory(t, archive(t, old))
	tree, err := s.Tree(t.Context())
	imagetest.Must(t, err)
	if e, err := tree.Entry("/x"); err != nil || !e.ModTime.Equal(old.ModTime) {
		t.Errorf("time %v, %v", e.ModTime, err)
	}
}
