package distros_test

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/layers"
	"cloudlets/images/survey"
	"cloudlets/images/target"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/distros"
	"cloudlets/testdata/needs"
)

var update = flag.Bool("update", false, "write what is found to golden")

// small unpacks the small cloudlet.
func small(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	file, err := bed.SmallCloudlet(t.Context(), filepath.Join(root, ".cache"), filepath.Join(root, "testdata", "small"), bed.CloudKernel, bed.AMD64, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), needs.Tool(t, "tar", "tar"), "-x", "-f", file, "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("unpack %s: %v: %s", file, err, out)
	}
	return dir
}

// TestLayouts makes a cloudlet of each distribution and a disk of it, with no
// flag and no word about it.
func TestLayouts(t *testing.T) {
	parts := small(t)
	for _, l := range distros.All() {
		t.Run(l.Name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), l.Name)
			if err := l.Make(parts, dir); err != nil {
				t.Fatal(err)
			}
			version := versionIn(t, parts)
			got := strings.ReplaceAll(lookAt(t, dir)+diskOf(t, dir), version, "VERSION")
			compare(t, filepath.Join("golden", l.Name+".txt"), got)
		})
	}
}

func versionIn(t *testing.T, parts string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(parts, "lib", "modules", "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("modules %q, %v", found, err)
	}
	return filepath.Base(found[0])
}

// lookAt surveys a root filesystem, writes its manifest, and returns what
// matters of it, with what a person is told to look at.
func lookAt(t *testing.T, dir string) string {
	t.Helper()
	tree, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := survey.Survey(t.Context(), tree, survey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, ".cloudlet"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, images.ManifestPath), text, 0o644); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s with %s\n", f.Distribution.Family, f.Init.System)
	for line := range strings.Lines(string(text)) {
		for _, member := range []string{"kernel", "initrd", "cmdline", "path"} {
			if strings.HasPrefix(line, `      "`+member+`"`) {
				b.WriteString(strings.TrimSpace(line) + "\n")
			}
		}
	}
	fmt.Fprintf(&b, "persistent %s\nvolatile %s\n", strings.Join(f.Persistent, " "), strings.Join(f.Volatile, " "))
	for _, r := range f.Reasons {
		if strings.HasPrefix(r.What, "/") && !strings.HasPrefix(r.What, "/var/lib") {
			fmt.Fprintf(&b, "%s: %s\n", r.What, r.Why)
		}
	}
	return b.String()
}

// diskOf plans a disk of a root filesystem that has a manifest, and returns the
// version of its kernel, its command line, and what a person is told.
func diskOf(t *testing.T, dir string) string {
	t.Helper()
	src, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	im, err := images.New(t.Context(), dir, src)
	if err != nil {
		t.Fatal(err)
	}
	files, volatile, err := target.CopyOf(im.Manifest, src)
	if err != nil {
		t.Fatal(err)
	}
	s := target.System{Name: im.Name, Manifest: im.Manifest, Tree: src, Source: layers.Select(files, func(p string) bool { return !volatile(p) })}
	d, err := target.NewDisk(t.Context(), s, target.Options{})
	if err != nil {
		t.Fatal(err)
	}
	id := "none"
	if err := s.Source.Walk(t.Context(), func(e images.Entry, r io.Reader) error {
		if e.Path == "/etc/machine-id" {
			id = fmt.Sprintf("%d bytes", e.Size)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var words []string
	for word := range strings.FieldsSeq(d.Boot().Cmdline) {
		if !strings.HasPrefix(word, "root=") {
			words = append(words, word)
		}
	}
	return fmt.Sprintf("a disk: Linux %s, %s\n/etc/machine-id on it: %s\n%s\n", d.Kernels[0].Version, strings.Join(words, " "), id, strings.Join(d.Notices, "\n"))
}
