// Package hardwaretest is for tests alone: a /sys of a machine that a test describes.
package hardwaretest

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Sys is the folder of a /sys as the kernel lays it out: devices in a tree, links to
// them by class.
type Sys string

// NewSys returns an empty one, which is gone after the test.
func NewSys(t testing.TB) Sys { return Sys(t.TempDir()) }

// FS returns it as [cloudlets/provision/hardware] reads it.
func (s Sys) FS() fs.FS { return os.DirFS(string(s)) }

// Disk adds a disk at its place in the tree, such as "pci0/virtio1/block/vda", with
// attributes by their path from the disk's folder.
func (s Sys) Disk(t testing.TB, place string, attributes map[string]string) {
	t.Helper()
	for name, value := range attributes {
		s.Write(t, filepath.Join("devices", place, name), value)
	}
	s.Link(t, "block/"+filepath.Base(place), "devices/"+place)
}

// Link makes a link by a name to a target. Both are paths in the tree.
func (s Sys) Link(t testing.TB, name, target string) {
	t.Helper()
	file := filepath.Join(string(s), name)
	rel, err := filepath.Rel(filepath.Dir(file), filepath.Join(string(s), target))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(file), 0o755)
	}
	if err == nil {
		err = os.Symlink(rel, file)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Write makes a file, and the folders above it.
func (s Sys) Write(t testing.TB, name, content string) {
	t.Helper()
	file := filepath.Join(string(s), name)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(content), 0o444)
	}
	if err != nil {
		t.Fatal(err)
	}
}
