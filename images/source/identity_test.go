//go:build linux

package source_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/imagetest"
	"cloudlets/images/layers"
	"cloudlets/images/pack"
	"cloudlets/images/rootfs"
	"cloudlets/images/source"
	"cloudlets/images/tarball"
	"cloudlets/images/vcs"
	"cloudlets/images/vcs/worktree"
	"cloudlets/testdata/needs"
)

// identity is what must be the same of an image in all its forms.
type identity struct {
	Files []string // a line for each entry, in the order of the walk
	Pack  string   // its digest
	// Part is the pack of a configured half of the image.
	Part string
}

// TestOneIdentity has random trees as directories, tarballs and container
// images, in several orders and compressions.
func TestOneIdentity(t *testing.T) {
	needs.Root(t) // for owners and devices
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			files := withManifest(imagetest.RandomFiles(seed, 250))
			dir := filepath.Join(t.TempDir(), "image")
			_, err := rootfs.Write(t.Context(), dir, files, rootfs.Options{NoSync: true})
			imagetest.Must(t, err)
			sorted, backwards := writeTar(t, files), writeTar(t, imagetest.Backwards(files))
			// Of a lower layer something is taken away, and something replaced.
			lower := writeTar(t, imagetest.Lines("/", "/zz-gone = x", "/.cloudlet/", "/.cloudlet/manifest = old"))
			removed := writeTar(t, imagetest.Lines("/", "/.wh.zz-gone = "))
			want := identify(t, dir)
			for name, ref := range map[string]string{
				"tarball": sorted, "gzip": packWith(t, "gzip", sorted), "zstd": packWith(t, "zstd", sorted),
				"backwards": backwards, "backwards, zstd": packWith(t, "zstd", backwards),
				"layout": imagetest.OCILayout(t, lower, removed, backwards), "docker archive": imagetest.DockerArchive(t, lower, removed, sorted),
			} {
				if diff := cmp.Diff(want, identify(t, ref)); diff != "" {
					t.Errorf("the directory is (-), the %s (+): %s", name, diff)
				}
			}
		})
	}
}

// TestOneIdentityOfASlot captures a system from a slot of a disk with two. The boot menu
// there, and the second names of the kernels, are of that slot and not of the image.
func TestOneIdentityOfASlot(t *testing.T) {
	needs.Root(t)
	files := withManifest(imagetest.Lines("/boot/", "/boot/vmlinuz = kernel", "/boot/vmlinuz.old -> vmlinuz", "/srv/"))
	dir := filepath.Join(t.TempDir(), "image")
	_, err := rootfs.Write(t.Context(), dir, files, rootfs.Options{NoSync: true})
	imagetest.Must(t, err)
	want := identify(t, dir)
	top, err := os.Stat(filepath.Join(dir, images.Dir))
	imagetest.Must(t, err)
	slot := filepath.Join(dir, filepath.Dir(bootloader.SlotMenuPath))
	imagetest.Must(t, os.Mkdir(slot, 0o755), os.Link(filepath.Join(dir, "boot/vmlinuz"), filepath.Join(slot, "0-vmlinuz")),
		os.WriteFile(filepath.Join(dir, bootloader.SlotMenuPath), []byte("menuentry"), 0o600), os.Chtimes(filepath.Dir(slot), time.Time{}, top.ModTime()))
	// Its second name comes first, so that the archive has the kernel's content there.
	archive := filepath.Join(t.TempDir(), "captured.tar")
	imagetest.Run(t, "tar", "tar", "-C", dir, "--sort=name", "--xattrs", "--format=pax", "-cf", archive, ".")
	for name, ref := range map[string]string{"directory": dir, "tarball": archive, "layout": imagetest.OCILayout(t, archive)} {
		if diff := cmp.Diff(want, identify(t, ref)); diff != "" {
			t.Errorf("the image is (-), the %s that was captured (+): %s", name, diff)
		}
	}
}

// TestOneIdentityOfRevisions has random trees that were committed. A revision
// has one time for all files.
func TestOneIdentityOfRevisions(t *testing.T) {
	needs.Root(t)
	needs.Tool(t, "git", "git")
	at := time.Unix(1.7e9, 0).UTC()
	t.Setenv("GIT_COMMITTER_DATE", at.Format(time.RFC3339))
	t.Setenv("HOME", t.TempDir())
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			files := withManifest(imagetest.RandomFiles(seed, 120))
			for i := range files {
				files[i].ModTime = at
			}
			dir := filepath.Join(t.TempDir(), "image")
			_, err := rootfs.Write(t.Context(), dir, files, rootfs.Options{NoSync: true})
			imagetest.Must(t, err)
			commit(t, dir)
			for _, changed := range []string{"", images.Dir} {
				imagetest.Must(t, os.Chtimes(filepath.Join(dir, changed), at, at))
			}
			want := identify(t, dir)
			for name, ref := range map[string]string{"revision": dir + "@HEAD", "tarball": writeTar(t, imagetest.Backwards(files))} {
				if diff := cmp.Diff(want, identify(t, ref)); diff != "" {
					t.Errorf("the directory is (-), the %s (+): %s", name, diff)
				}
			}
		})
	}
}

// commit makes a directory a repository with one revision.
func commit(t *testing.T, dir string) {
	t.Helper()
	for _, args := range [][]string{
		{"init", "-q"}, {"add", "--all"},
		{"-c", "user.name=Test", "-c", "user.email=test@example.net", "commit", "-q", "-m", "first"},
	} {
		var out bytes.Buffer
		code, err := worktree.Run(t.Context(), worktree.Options{Kind: vcs.Git, Dir: dir, Args: args, Stdout: &out, Stderr: &out})
		if code != 0 || err != nil {
			t.Fatalf("git %q: %d, %v: %s", args, code, err, out.Bytes())
		}
	}
}

// withManifest adds what makes a tree a cloudlet.
func withManifest(files imagetest.Files) imagetest.Files {
	for _, f := range imagetest.Lines("/.cloudlet/", "/.cloudlet/manifest = {}")[1:] {
		f.ModTime = time.Unix(1e9, 5).UTC()
		files = append(files, f)
	}
	return imagetest.InOrder(files)
}

func writeTar(t *testing.T, src images.Source) string {
	t.Helper()
	var b bytes.Buffer
	imagetest.Must(t, tarball.Write(t.Context(), &b, src))
	return imagetest.WriteTemp(t, b.Bytes())
}

// packWith compresses a file.
func packWith(t *testing.T, tool, file string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), needs.Tool(t, tool, tool), "-c", file).Output()
	imagetest.Must(t, err)
	return imagetest.WriteTemp(t, out)
}

// identify opens an image in one of its forms.
func identify(t *testing.T, ref string) identity {
	t.Helper()
	im, err := source.Open(t.Context(), ref, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { imagetest.Must(t, im.Close()) }()
	tree, err := im.Tree(t.Context())
	imagetest.Must(t, err)
	id := identity{Files: lines(t, tree), Pack: packOf(t, im.Source, nil)}
	overlay := images.Overlay{
		{Entry: images.Entry{Path: "/added/file", Type: images.Regular, Mode: 0o600, ModTime: time.Unix(9, 9)}, Content: []byte("new")},
		{Entry: images.Entry{Path: "/.cloudlet/applied_config", Type: images.Regular, Mode: 0o600, ModTime: time.Unix(9, 9)}, Content: []byte("{}")},
	}
	id.Part = packOf(t, layers.Overlay(tree, overlay), func(p string) bool { return len(p)%3 == 0 })
	return id
}

// lines tell all of each entry.
func lines(t *testing.T, src images.Source) []string {
	t.Helper()
	var all []string
	imagetest.Must(t, src.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
		line := fmt.Sprintf("%+q %d %o %d:%d %d %s %+q %d,%d %q", e.Path, e.Type, e.Mode, e.UID, e.GID, e.Size, e.ModTime.Format(time.RFC3339Nano), e.Link, e.Major, e.Minor, e.Xattrs)
		all = append(all, line)
		return nil
	}))
	return all
}

func packOf(t *testing.T, src images.Source, skip func(string) bool) string {
	t.Helper()
	info, err := pack.Write(t.Context(), io.Discard, src, pack.Options{Skip: skip})
	imagetest.Must(t, err)
	return info.Digest
}
