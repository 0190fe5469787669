//go:build linux

package tarball

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/imagetest"
	"cloudlets/testdata/needs"
)

// What a tree may have that not every writer or format can express.
const (
	devices    = "devices and FIFOs"
	owners     = "large owners"
	fractions  = "fractions of a second"
	oldTimes   = "times before 1970"
	attributes = "extended attributes"
	acls       = "ACLs"
	labels     = "SELinux labels"
	longNames  = "names above 100 bytes"
	longLinks  = "link targets above 100 bytes"
	splitNames = "names that cannot be split at byte 155"
	hardLinks  = "hard links"
	setIDs     = "setuid, setgid and sticky"
	notUTF8    = "names that are not UTF-8"
	anyOwners  = "any owners"
	theRoot    = "the root directory itself"
)

// writers are the tools, with their formats and what these cannot express. The
// command is run in the tree by a shell: $OUT is the file to make.
var writers = []struct {
	name, pkg, command string
	lacks              []string
}{
	{"GNU tar v7", "tar", "tar --format=v7 -cf $OUT .", []string{devices, owners, fractions, oldTimes, attributes, acls, labels, longNames, longLinks, splitNames}},
	{"GNU tar ustar", "tar", "tar --format=ustar -cf $OUT .", []string{owners, fractions, oldTimes, attributes, acls, labels, longLinks, splitNames}},
	{"GNU tar oldgnu", "tar", "tar --format=oldgnu --sparse -cf $OUT .", []string{fractions, attributes, acls, labels}},
	{"GNU tar gnu", "tar", "tar --format=gnu --sparse -cf $OUT .", []string{fractions, attributes, acls, labels}},
	{"GNU tar posix", "tar", "tar --format=posix --sparse --xattrs --xattrs-include='*' -cf $OUT .", nil},
	{"bsdtar v7", "libarchive-tools", "bsdtar --format v7 -cf $OUT .", []string{devices, owners, fractions, oldTimes, attributes, acls, labels, longNames, longLinks, splitNames}},
	{"bsdtar ustar", "libarchive-tools", "bsdtar --format ustar -cf $OUT .", []string{owners, fractions, oldTimes, attributes, acls, labels, longLinks, splitNames}},
	{"bsdtar gnutar", "libarchive-tools", "bsdtar --format gnutar -cf $OUT .", []string{fractions, oldTimes, attributes, acls, labels}},
	{"bsdtar pax", "libarchive-tools", "bsdtar --format pax --acls --xattrs -cf $OUT .", nil},
	{"busybox tar", "busybox", "busybox tar -cf $OUT .", []string{owners, fractions, oldTimes, attributes, acls, labels}},
	{"Python ustar", "python3", "python3 -c \"$PYTHON\" USTAR $OUT", []string{owners, fractions, oldTimes, attributes, acls, labels, longLinks, splitNames}},
	{"Python gnu", "python3", "python3 -c \"$PYTHON\" GNU $OUT", []string{fractions, attributes, acls, labels}},
	{"Python pax", "python3", "python3 -c \"$PYTHON\" PAX $OUT", []string{fractions, attributes, acls, labels}},
	{"7-Zip gnu", "7zip", "7zz a -ttar -mm=gnu -snl -snh $OUT.tar . && mv $OUT.tar $OUT", []string{theRoot, devices, anyOwners, owners, fractions, oldTimes, attributes, acls, labels}},
	{"7-Zip pax", "7zip", "7zz a -ttar -mm=pax -snl -snh $OUT.tar . && mv $OUT.tar $OUT", []string{theRoot, devices, anyOwners, owners, fractions, attributes, acls, labels}},
}

// pythonTar makes a tarball of the working directory.
const pythonTar = `
import sys, tarfile
with tarfile.open(sys.argv[2], "w:" + (sys.argv[3] if len(sys.argv) > 3 else ""), format=getattr(tarfile, sys.argv[1] + "_FORMAT")) as t: t.add(".")
`

// TestTarsOfEveryTool has each tool write a tree in each of its formats. What
// is read of it, as a file and through a pipe, is the tree, but for what the
// format cannot express.
func TestTarsOfEveryTool(t *testing.T) {
	needs.Root(t)
	for _, w := range writers {
		t.Run(w.name, func(t *testing.T) {
			root := worldTree(t, w.lacks)
			want := expressed(t, root, w.lacks)
			data := written(t, root, w.pkg, w.command)
			sameAsTree(t, New(imagetest.WriteTemp(t, data)), want, w.lacks)
			sameAsTree(t, inMemory(t, data), want, w.lacks)
		})
	}
}

// TestTarsOfEveryCompression has the tools compress by themselves.
func TestTarsOfEveryCompression(t *testing.T) {
	needs.Root(t)
	lacks := []string{owners, fractions, oldTimes, attributes, acls, labels}
	root := worldTree(t, lacks)
	want := expressed(t, root, lacks)
	for _, tt := range []struct{ pkg, command string }{
		{"gzip", "tar --format=gnu -czf $OUT ."}, {"bzip2", "tar --format=gnu -cjf $OUT ."}, {"xz-utils", "tar --format=gnu -cJf $OUT ."}, {"zstd", "tar --format=gnu --zstd -cf $OUT ."},
		{"gzip", "tar --format=gnu -c . | gzip -9 >$OUT"}, {"zstd", "tar --format=gnu -c . | zstd --long=27 --no-check >$OUT"}, {"xz-utils", "tar --format=gnu -c . | xz -0 -T2 --block-size=64KiB >$OUT"},
		{"libarchive-tools", "bsdtar --format gnutar -czf $OUT ."}, {"libarchive-tools", "bsdtar --format gnutar -cjf $OUT ."},
		{"libarchive-tools", "bsdtar --format gnutar -cJf $OUT ."}, {"libarchive-tools", "bsdtar --format gnutar --zstd -cf $OUT ."},
		{"libarchive-tools", "bsdtar --format gnutar -czf - . >$OUT"}, // with zeros up to a whole record
		{"busybox", "busybox tar -czf $OUT ."}, {"busybox", "busybox tar -c . | busybox bzip2 >$OUT"},
		{"python3", "python3 -c \"$PYTHON\" GNU $OUT gz"}, {"python3", "python3 -c \"$PYTHON\" GNU $OUT bz2"}, {"python3", "python3 -c \"$PYTHON\" GNU $OUT xz"},
		{"7zip", "tar --format=gnu -c . | 7zz a -tgzip -si $OUT.z && mv $OUT.z $OUT"}, {"7zip", "tar --format=gnu -c . | 7zz a -tbzip2 -si $OUT.z && mv $OUT.z $OUT"}, {"7zip", "tar --format=gnu -c . | 7zz a -txz -si $OUT.z && mv $OUT.z $OUT"},
	} {
		t.Run(tt.command, func(t *testing.T) {
			data := written(t, root, tt.pkg, tt.command)
			if compressionOf(data) == "" {
				t.Fatalf("it is not compressed: %x", data[:8])
			}
			sameAsTree(t, New(imagetest.WriteTemp(t, data)), want, lacks)
			sameAsTree(t, inMemory(t, data), want, lacks)
		})
	}
}

// written is what a command of the shell writes in a directory.
func written(t *testing.T, root, pkg, command string) []byte {
	t.Helper()
	needs.Tool(t, command[:strings.IndexByte(command, ' ')], pkg)
	file := filepath.Join(t.TempDir(), "out")
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", command)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "OUT="+file, "PYTHON="+pythonTar)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	data, err := os.ReadFile(file)
	imagetest.Must(t, err)
	return data
}

// worldTree makes a tree with everything but what a format lacks.
func worldTree(t *testing.T, lacks []string) string {
	t.Helper()
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	second := time.Unix(1_500_000_000, 0)
	file := func(name string) string {
		imagetest.Must(t, os.MkdirAll(filepath.Dir(at(name)), 0o755), os.WriteFile(at(name), []byte(name), 0o640), os.Chtimes(at(name), second, second))
		return at(name)
	}
	xattr := func(name string, pairs ...string) {
		for pair := range slices.Chunk(pairs, 2) {
			imagetest.Must(t, unix.Lsetxattr(at(name), pair[0], []byte(pair[1]), 0))
		}
	}
	imagetest.Must(t, os.Chown(file("etc/owned"), 1000, 200_000), os.Mkdir(at("tmp"), 0o755), os.Mkdir(at("empty"), 0o711), os.Symlink("etc/owned", at("link")),
		os.Symlink("/nowhere", at("dangling")), os.Lchown(at("link"), 5, 6))
	f, err := os.Create(at("sparse"))
	imagetest.Must(t, err, f.Truncate(3<<20))
	_, err = f.WriteAt([]byte("data"), 1<<20)
	imagetest.Must(t, err, f.Close())
	for _, name := range []string{"-rf", "new\nline", "tab\t", "back\\slash", "ünï", " ", "per%25cent=", strings.Repeat("n", 80), "0-first"} {
		file("names/" + name)
	}
	parts := map[string]func(){
		devices: func() {
			imagetest.Must(t, unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), unix.Mknod(at("disk"), unix.S_IFBLK|0o660, int(unix.Mkdev(259, 300))), unix.Mkfifo(at("fifo"), 0o600))
		},
		owners: func() { imagetest.Must(t, os.Chown(file("large-owner"), 4_000_000_000, 2_097_152)) },
		fractions: func() {
			imagetest.Must(t, os.Chtimes(file("fraction"), time.Unix(5, 999_999_999), time.Unix(5, 999_999_999)))
		},
		oldTimes: func() { imagetest.Must(t, os.Chtimes(file("old"), time.Unix(-1e9, 0), time.Unix(-1e9, 0))) },
		attributes: func() {
			file("xattrs")
			xattr("xattrs", "user.a=b%3D", "\x00=\n", "user.empty", "", "security.capability", imagetest.CapNetRaw, "trusted.t", "t")
		},
		labels: func() { file("label"); xattr("label", "security.selinux", "system_u:object_r:etc_t:s0\x00") },
		acls: func() {
			file("acl")
			xattr("acl", accessXattr, imagetest.ACL([3]uint32{1, 6, noID}, [3]uint32{2, 6, 33}, [3]uint32{4, 4, noID}, [3]uint32{16, 6, noID}, [3]uint32{32, 0, noID}))
			xattr("empty", defaultXattr, imagetest.ACL([3]uint32{1, 7, noID}, [3]uint32{2, 5, 33}, [3]uint32{4, 5, noID}, [3]uint32{16, 7, noID}, [3]uint32{32, 0, noID}))
		},
		longNames:  func() { file(strings.Repeat("long/", 25) + "name") },
		splitNames: func() { file(strings.Repeat("longer/", 60) + strings.Repeat("n", 255)) },
		longLinks:  func() { imagetest.Must(t, os.Symlink(strings.Repeat("x", 300), at("long-link"))) },
		hardLinks:  func() { imagetest.Must(t, os.Link(file("first"), at("second"))) },
		setIDs: func() {
			imagetest.Must(t, os.Chmod(file("su"), 0o755|os.ModeSetuid|os.ModeSetgid), os.Chmod(at("tmp"), 0o777|os.ModeSticky))
		},
		notUTF8: func() { file("names/not\xffutf8") },
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if !slices.Contains(lacks, name) {
			parts[name]()
		}
	}
	for _, name := range []string{"link", "dangling", "sparse", "tmp", "names", "etc", "empty", "."} {
		imagetest.Must(t, unix.UtimesNanoAt(unix.AT_FDCWD, at(name), []unix.Timespec{{Sec: 1e9}, {Sec: 1e9}}, unix.AT_SYMLINK_NOFOLLOW))
	}
	return root
}

// expressed is a tree without what a format lacks.
func expressed(t *testing.T, root string, lacks []string) []string {
	t.Helper()
	d, err := dirtree.Open(root)
	imagetest.Must(t, err)
	return described(imagetest.All(t, d), lacks)
}

// described has a line for each file, with the sum of its content.
func described(tree imagetest.Files, lacks []string) []string {
	var lines []string
	for _, f := range forgetting(tree, forgets(lacks)) {
		lines = append(lines, fmt.Sprintf("%q %d %04o %d:%d %d %v %q %d:%d %q %x",
			f.Path, f.Type, f.Mode, f.UID, f.GID, f.Size, f.ModTime, f.Link, f.Major, f.Minor, f.Xattrs, sha256.Sum256(f.Content)))
	}
	return lines
}

// forgets leaves out of an entry what a format lacks.
func forgets(lacks []string) func(*images.Entry) {
	return func(e *images.Entry) {
		if slices.Contains(lacks, fractions) {
			e.ModTime = e.ModTime.Truncate(time.Second)
		}
		if slices.Contains(lacks, anyOwners) {
			e.UID, e.GID = 0, 0
		}
		if slices.Contains(lacks, theRoot) && e.Path == "/" {
			e.Mode, e.ModTime = 0, time.Time{}
		}
	}
}

// sameAsTree compares what is read of a tarball, in canonical order.
func sameAsTree(t *testing.T, s *Tarball, want []string, lacks []string) {
	t.Helper()
	s.TempDir = t.TempDir()
	tree, err := s.Tree(t.Context())
	imagetest.Must(t, err)
	if diff := cmp.Diff(want, described(imagetest.All(t, tree), lacks)); diff != "" {
		t.Errorf("%s: the tree (-), read (+): %s", s.name, diff)
	}
	imagetest.Must(t, s.Close())
}

// TestTheTableOfWriters compares the table in the documentation with what the
// tests above found.
func TestTheTableOfWriters(t *testing.T) {
	text, err := os.ReadFile("../../docs/images.md")
	imagetest.Must(t, err)
	for _, w := range writers {
		row := fmt.Sprintf("| %s | %s |", w.name, strings.Join(w.lacks, ", "))
		if len(w.lacks) == 0 {
			row = fmt.Sprintf("| %s | nothing |", w.name)
		}
		if !bytes.Contains(text, []byte(row)) {
			t.Errorf("docs/images.md lacks the row\n%s", row)
		}
	}
}
