//go:build linux

package dirtree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/imagetest"
	"cloudlets/images/layers"
	"cloudlets/images/tarball"
	"cloudlets/testdata/needs"
)

// manyFiles makes more files than are read ahead, of sizes about the largest
// that is, and some with a second name.
func manyFiles(t *testing.T) (root string, d *Dir) {
	t.Helper()
	root = t.TempDir()
	for i := range 3 * aheadBatches * aheadFiles {
		dir := filepath.Join(root, fmt.Sprintf("d%d", i/200))
		name := filepath.Join(dir, fmt.Sprintf("f%04d", i))
		imagetest.Must(t, os.MkdirAll(dir, 0o755), os.WriteFile(name, manyContent(i), 0o644))
		if i%50 == 0 {
			imagetest.Must(t, os.Link(name, name+"-again"))
		}
	}
	d, err := Open(root)
	imagetest.Must(t, err)
	return root, d
}

func manyContent(i int) []byte {
	size := []int{0, 1, 100, 5000, 20_000}[i%5]
	if i%97 == 0 {
		size = aheadFile - 1 + i%3
	}
	return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, size)[:size]
}

// leftOpen lists the files beneath root that this process has open.
func leftOpen(t *testing.T, root string) []string {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	imagetest.Must(t, err)
	var open []string
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(to, root) {
			open = append(open, to)
		}
	}
	return open
}

func TestWalkReadsWhatItIsAskedFor(t *testing.T) {
	root, d := manyFiles(t)
	for _, every := range []int{1, 2, 3, 100, 1000} {
		n := 0
		err := d.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
			if n++; content == nil || n%every != 0 {
				return nil
			}
			var i int
			if _, err := fmt.Sscanf(filepath.Base(e.Path), "f%d", &i); err != nil {
				return err
			}
			text, err := io.ReadAll(content)
			if err == nil && !bytes.Equal(text, manyContent(i)) {
				t.Errorf("%s has another content", e.Path)
			}
			return err
		})
		if want := 3*aheadBatches*aheadFiles*51/50 + 5; err != nil || n < want-5 || n > want+5 {
			t.Errorf("every %d: %d visits, %v; want about %d", every, n, err, want)
		}
	}
	if open := leftOpen(t, root); len(open) > 0 {
		t.Errorf("left open: %s", open)
	}
}

func TestWalkThatEndsEarlyLeavesNothingOpen(t *testing.T) {
	root, d := manyFiles(t)
	boom := errors.New("boom")
	for _, last := range []int{1, 40, 300, 700} {
		n := 0
		err := d.Walk(t.Context(), func(images.Entry, io.Reader) error {
			if n++; n == last {
				return boom
			}
			return nil
		})
		if !errors.Is(err, boom) || n != last {
			t.Errorf("error %v after %d visits, want that of visit %d", err, n, last)
		}
		ctx, cancel := context.WithCancel(t.Context())
		n = 0
		err = d.Walk(ctx, func(images.Entry, io.Reader) error {
			if n++; n == last {
				cancel()
			}
			return nil
		})
		cancel()
		if !errors.Is(err, context.Canceled) || n != last {
			t.Errorf("error %v after %d visits, want the end after visit %d", err, n, last)
		}
	}
	if open := leftOpen(t, root); len(open) > 0 {
		t.Errorf("left open: %s", open)
	}
}

func TestContentEndsWithItsVisit(t *testing.T) {
	root := t.TempDir()
	imagetest.Must(t, os.WriteFile(filepath.Join(root, "f"), []byte("text"), 0o644))
	d, err := Open(root)
	imagetest.Must(t, err)
	var kept io.Reader
	imagetest.Must(t, d.Walk(t.Context(), func(_ images.Entry, content io.Reader) error { kept = content; return nil }))
	if text, err := io.ReadAll(kept); err == nil {
		t.Errorf("it reads %q", text)
	}
}

// TestDirSourceThatChanges changes a file that a walk has listed and not yet
// looked at.
func TestDirSourceThatChanges(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(file string) error
		want   string
	}{
		"gone":        {os.Remove, "vanished while the image was read"},
		"a directory": {func(f string) error { return errors.Join(os.Remove(f), os.Mkdir(f, 0o755)) }, "became another kind of file"},
	} {
		root := t.TempDir()
		const n = 2 * aheadBatches * aheadFiles
		for i := range n {
			imagetest.Must(t, os.WriteFile(filepath.Join(root, fmt.Sprintf("f%04d", i)), nil, 0o644))
		}
		d, err := Open(root)
		imagetest.Must(t, err)
		last := fmt.Sprintf("f%04d", n-1)
		visits := 0
		err = d.Walk(t.Context(), func(e images.Entry, _ io.Reader) error {
			if visits++; visits == 1 {
				return tt.change(filepath.Join(root, last))
			}
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "/"+last+" of image") || !strings.Contains(err.Error(), tt.want) || visits != n {
			t.Errorf("%s: error %v after %d visits", name, err, visits)
		}
	}
}

func TestDirSourceLeavesOutBookkeeping(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	imagetest.Must(t, os.MkdirAll(at(".git/objects"), 0o755), os.WriteFile(at(".hg"), nil, 0o644),
		os.MkdirAll(at("src/.git"), 0o755), os.Mkdir(at("src/.hg"), 0o755), os.WriteFile(at(".gitignore"), nil, 0o644),
		os.Mkdir(at(".cloudlet"), 0o755), os.WriteFile(at(".cloudlet/metadata"), nil, 0o644), os.WriteFile(at(".cloudlet/manifest"), nil, 0o644),
		os.MkdirAll(at("src/.cloudlet/metadata"), 0o755))
	d, err := Open(root)
	imagetest.Must(t, err)
	want := "/ /.cloudlet /.cloudlet/manifest /.gitignore /src /src/.cloudlet /src/.cloudlet/metadata /src/.git /src/.hg"
	if got, err := imagetest.Visited(d); got != want || err != nil {
		t.Errorf("visits %s, %v; want %s", got, err, want)
	}
	var paths []string
	imagetest.Must(t, d.Paths(t.Context(), func(p string) error { paths = append(paths, p); return nil }))
	if got := strings.Join(paths, " "); got != want {
		t.Errorf("paths %s, want %s", got, want)
	}
	for dir, want := range map[string]string{"/": "/.cloudlet /.gitignore /src", "/.cloudlet": "/.cloudlet/manifest", "/src": "/src/.cloudlet /src/.git /src/.hg"} {
		entries, err := d.ReadDir(dir)
		imagetest.Must(t, err)
		var names []string
		for _, e := range entries {
			names = append(names, e.Path)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s lists %s, want %s", dir, got, want)
		}
	}
	for _, p := range []string{"/.git", "/.git/objects", "/.hg", "/.cloudlet/metadata", ".git", "/src/../.git"} {
		if e, err := d.Entry(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("entry %s = %+v, %v", p, e, err)
		}
		if list, err := d.ReadDir(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s lists %+v, %v", p, list, err)
		}
		if f, err := d.Open(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s opens as %v, %v", p, f, err)
		}
	}
}

// asNobodyEnv tells this test's second process what to read.
const asNobodyEnv = "CLOUDLETS_TEST_AS_NOBODY"

// TestDirSourceOfSomeoneElse reads a file that may not be read, and then the
// same directory without it, in a process of another user.
func TestDirSourceOfSomeoneElse(t *testing.T) {
	if root := os.Getenv(asNobodyEnv); root != "" {
		d, err := Open(root)
		imagetest.Must(t, err)
		fmt.Println("all:", tarball.Write(t.Context(), io.Discard, d))
		fmt.Println("part:", tarball.Write(t.Context(), io.Discard, layers.Select(d, func(p string) bool { return p != "/shadow" })))
		imagetest.Must(t, d.Paths(t.Context(), func(p string) error { fmt.Println("path:", p); return nil }))
		return
	}
	needs.Root(t)
	root := t.TempDir()
	imagetest.Must(t, os.Chmod(filepath.Dir(root), 0o755), os.Chmod(root, 0o755),
		os.WriteFile(filepath.Join(root, "open"), []byte("text"), 0o644), os.WriteFile(filepath.Join(root, "shadow"), []byte("secret"), 0o600))
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestDirSourceOfSomeoneElse$")
	cmd.Env = append(os.Environ(), asNobodyEnv+"="+root)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	imagetest.Must(t, err)
	want := "all: write /shadow to the tarball: read /shadow: permission denied\npart: <nil>\npath: /\npath: /open\npath: /shadow\n"
	if got, _, _ := strings.Cut(string(out), "PASS"); got != want {
		t.Error(cmp.Diff(want, got))
	}
}
