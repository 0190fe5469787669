package bootloader

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"cloudlets/images"
	"cloudlets/images/dirtree"
)

// TestAssetsAreTakenFromTheNearest goes through the places one by one: each
// is asked before the next one.
func TestAssetsAreTakenFromTheNearest(t *testing.T) {
	const place = "usr/lib/systemd/boot/efi/" + SystemdAMD64
	image, folder := t.TempDir(), t.TempDir()
	a := Assets{Dir: folder, Tree: openTree(t, image), Host: fstest.MapFS{place: {Data: []byte("host's")}}}
	wantLoader(t, a, SystemdAMD64, "host's")

	putFile(t, image, place, "image's")
	wantLoader(t, a, SystemdAMD64, "image's")

	putFile(t, folder, SystemdAMD64, "folder's")
	wantLoader(t, a, SystemdAMD64, "folder's")

	putFile(t, folder, "efi/"+SystemdAMD64, "package's")
	wantLoader(t, a, SystemdAMD64, "package's")
}

// TestAssetsOfAnImageAreReachedByLinks has the links that a Debian image may
// have, and none of them leads out of the image.
func TestAssetsOfAnImageAreReachedByLinks(t *testing.T) {
	image := t.TempDir()
	putFile(t, image, "opt/loaders/"+SystemdAMD64, "image's")
	if err := os.MkdirAll(filepath.Join(image, "usr/lib/systemd/boot"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/opt/loaders", filepath.Join(image, "usr/lib/systemd/boot/efi")); err != nil {
		t.Fatal(err)
	}
	wantLoader(t, Assets{Tree: openTree(t, image), Host: fstest.MapFS{}}, SystemdAMD64, "image's")
}

func TestAssetsMakeTheCoreImageOfTheImagesOwnGRUB(t *testing.T) {
	image := t.TempDir()
	if err := os.CopyFS(filepath.Join(image, biosGRUB), os.DirFS("/"+biosGRUB)); err != nil {
		t.Fatalf("GRUB's files are not there: install the Debian package grub-pc-bin: %v", err)
	}
	own, err := Assets{Tree: openTree(t, image), Host: fstest.MapFS{}}.LoadNamed(t.Context(), BootImage, CoreImage)
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := Assets{}.Load(t.Context(), AMD64)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(own[CoreImage], hosts[CoreImage]) || !bytes.Equal(own[BootImage], hosts[BootImage]) {
		t.Error("the same GRUB gives other bytes")
	}
	if err := os.Remove(filepath.Join(image, biosGRUB, "part_gpt.mod")); err != nil {
		t.Fatal(err)
	}
	_, err = Assets{Tree: openTree(t, image)}.Load(t.Context(), AMD64)
	wantError(t, err, "load boot loader core.img: make GRUB's core image: part_gpt.mod is missing: install the Debian package grub-pc-bin")
}

func TestAssetsTakeACoreImageThatSomebodyMade(t *testing.T) {
	folder := t.TempDir()
	putFile(t, folder, CoreImage, "mine")
	wantLoader(t, Assets{Dir: folder}, CoreImage, "mine")
}

func TestMissingAssetsAreAllNamed(t *testing.T) {
	_, err := Assets{Host: fstest.MapFS{}}.Load(t.Context(), AMD64)
	wantError(t, err, "boot.img (Debian package grub-pc-bin), core.img (Debian package grub-pc-bin), systemd-bootx64.efi (Debian package systemd-boot-efi)")
	wantError(t, err, "install grub-pc-bin systemd-boot-efi on this computer or in the image, or use a folder")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("the error is no fs.ErrNotExist")
	}
	folder := t.TempDir()
	_, err = Assets{Dir: folder, Host: fstest.MapFS{}}.LoadNamed(t.Context(), ShimAMD64, GRUBAMD64)
	wantError(t, err, "install shim-signed grub-efi-amd64-signed on this computer or in the image, or put the files into "+folder)
	_, err = Assets{Host: fstest.MapFS{}}.GRUB()
	wantError(t, err, "kernel.img (Debian package grub-pc-bin)")
	_, err = Assets{}.LoadNamed(t.Context(), "lilo")
	wantError(t, err, "lilo")
}

// TestAnUnreadableAssetIsNoMissingOne keeps a broken image from being given
// another loader without a word.
func TestAnUnreadableAssetIsNoMissingOne(t *testing.T) {
	image := t.TempDir()
	const place = "usr/lib/systemd/boot/efi/" + SystemdAMD64
	putFile(t, image, place, "")
	if err := os.Truncate(filepath.Join(image, place), maxLoader+1); err != nil {
		t.Fatal(err)
	}
	_, err := Assets{Tree: openTree(t, image)}.Load(t.Context(), AMD64)
	wantError(t, err, "load boot loader systemd-bootx64.efi: read /"+place+": it is longer than")
}

// TestTreeFS is what package fs asks of one for regular files.
func TestTreeFS(t *testing.T) {
	image := t.TempDir()
	putFile(t, image, "dir/file", "content")
	files := treeFS{openTree(t, image)}
	b, err := fs.ReadFile(struct{ fs.FS }{files}, "dir/file") // by Open alone
	if err != nil || string(b) != "content" {
		t.Errorf("read %q: %v", b, err)
	}
	for _, name := range []string{"/dir/file", "../file", ""} {
		if _, err := files.Open(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("opened %q: %v", name, err)
		}
	}
	if _, err := files.Open("dir"); err == nil {
		t.Error("opened a directory")
	}
}

func wantLoader(t *testing.T, a Assets, name, want string) {
	t.Helper()
	l, err := a.LoadNamed(t.Context(), name)
	if err != nil || string(l[name]) != want {
		t.Errorf("%s is %q instead of %q: %v", name, l[name], want, err)
	}
}

func putFile(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func openTree(t *testing.T, dir string) images.Tree {
	t.Helper()
	tree, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}
