//go:build linux

package tarball

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/imagetest"
)

func TestEqualsItsDirectory(t *testing.T) {
	root := imagetest.OneOfEach(t)
	d, err := dirtree.Open(root)
	imagetest.Must(t, err)
	want := imagetest.Listing(t, d)
	if diff := cmp.Diff(want, imagetest.Listing(t, New(imagetest.TarOf(t, d)))); diff != "" {
		t.Error(diff)
	}
}

// TestReadsForeignTarballs has GNU tar pack one of everything, in
// both of its formats and with each compression.
func TestReadsForeignTarballs(t *testing.T) {
	root := imagetest.OneOfEach(t)
	d, err := dirtree.Open(root)
	imagetest.Must(t, err)
	want := imagetest.Listing(t, d)
	for _, tt := range []struct{ name, pkg, tool, flag string }{
		{"plain.tar", "tar", "tar", "--no-auto-compress"}, {"x.tar.gz", "gzip", "gzip", "-z"}, {"x.tar.zst", "zstd", "zstd", "--zstd"},
		{"x.tar.xz", "xz-utils", "xz", "-J"}, {"misnamed.tar.gz", "bzip2", "bzip2", "-j"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			imagetest.Run(t, tt.pkg, tt.tool, "--version")
			file := filepath.Join(t.TempDir(), tt.name)
			imagetest.Run(t, "tar", "tar", "-C", root, "--sort=name", "--format=posix", "--xattrs", "--xattrs-include=*", tt.flag, "-cf", file, ".")
			if diff := cmp.Diff(want, imagetest.Listing(t, New(file))); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("GNU format", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "x.tar")
		imagetest.Run(t, "tar", "tar", "-C", root, "--sort=name", "--format=gnu", "-cf", file, ".")
		got := strings.Join(imagetest.Listing(t, New(file)), "\n")
		for _, line := range want {
			if !strings.Contains(line, "capability") && !strings.Contains(got, line) {
				t.Errorf("no %s in\n%s", line, got)
			}
		}
	})
}

// entry is a header of a tarball in a test; content is the name again.
func entry(kind byte, name, link string) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Linkname: link, Mode: 0o644, ModTime: time.Unix(1e9, 0)}
}

func archive(t *testing.T, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		imagetest.Must(t, w.WriteHeader(h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, h.Name)
			imagetest.Must(t, err)
		}
	}
	imagetest.Must(t, w.Close())
	return b.Bytes()
}

func TestMakesMissingParents(t *testing.T) {
	got, err := imagetest.Visited(New(imagetest.WriteTemp(t, archive(t, entry(tar.TypeReg, "a/b/c", ""), entry(tar.TypeReg, "/a/d", ""), entry(tar.TypeReg, "./e", ""), &tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "a revision"}}))))
	if want := "/ /a /a/b /a/b/c /a/d /e"; got != want || err != nil {
		t.Errorf("visits %s, %v; want %s", got, err, want)
	}
}

func TestTakesADirectoryAsItIsInTheEnd(t *testing.T) {
	late := entry(tar.TypeDir, "a/", "")
	late.Mode, late.Uid = 0o2770, 7
	twice := entry(tar.TypeDir, "b/", "")
	twice.Mode = 0o700
	s := New(imagetest.WriteTemp(t, archive(t, entry(tar.TypeReg, "a/x", ""), late, entry(tar.TypeDir, "b/", ""), twice)))
	var got []images.Entry
	imagetest.Must(t, s.Walk(context.Background(), func(e images.Entry, _ io.Reader) error { got = append(got, e); return nil }))
	if len(got) != 4 || got[1].Path != "/a" || got[1].Mode != 0o2770 || got[1].UID != 7 || got[3].Path != "/b" || got[3].Mode != 0o700 {
		t.Errorf("visits %+v", got)
	}
}

func TestHostileTarballs(t *testing.T) {
	long := entry(tar.TypeReg, strings.Repeat("n", 256), "")
	for _, tt := range []struct {
		name string
		tar  []byte
		want string
	}{
		{"leaves the image", archive(t, entry(tar.TypeReg, "a/../../x", "")), `entry "a/../../x": has ".."`},
		{"hard link leaves the image", archive(t, entry(tar.TypeLink, "x", "../etc/shadow")), `has ".." in the name "../etc/shadow"`},
		{"hard link to nothing", archive(t, entry(tar.TypeLink, "x", "gone")), "hard link to /gone, which the tarball does not hold before it"},
		{"hard link to itself", archive(t, entry(tar.TypeLink, "x", "x")), "hard link to /x, which"},
		{"hard link to a directory", archive(t, entry(tar.TypeDir, "d/", ""), entry(tar.TypeLink, "x", "d")), "hard link to the directory /d"},
		{"a file over a full directory", archive(t, entry(tar.TypeReg, "x/y", ""), entry(tar.TypeSymlink, "x", "/etc")), "takes the place of the directory /x, in which there are files"},
		{"through a link", archive(t, entry(tar.TypeSymlink, "d", "/etc"), entry(tar.TypeReg, "d/passwd", "")), "is in /d, which leads through a symbolic link to something that the tarball does not hold"},
		{"in a file", archive(t, entry(tar.TypeReg, "d", ""), entry(tar.TypeReg, "d/x/y", "")), "is in /d, which is not a directory"},
		{"the root a link", archive(t, entry(tar.TypeSymlink, "./", "/etc")), "makes the root something other"},
		{"name too long", archive(t, long), "a name of 256 bytes"},
		{"path too long", archive(t, entry(tar.TypeReg, strings.Repeat("n/", 2048)+"n", "")), "has a path of 4098 bytes"},
		{"link target too long", archive(t, entry(tar.TypeSymlink, "x", strings.Repeat("n", 4096))), "link to an impossible path"},
		{"through a later link", archive(t, entry(tar.TypeDir, "d/", ""), entry(tar.TypeSymlink, "d", "/etc"), entry(tar.TypeReg, "d/passwd", "")), "is in /d, which leads through a symbolic link to something"},
		{"through a link to itself", archive(t, entry(tar.TypeSymlink, "d", "d"), entry(tar.TypeReg, "d/x", "")), "is in /d: too many symbolic links"},
		{"hard link by a link", archive(t, entry(tar.TypeSymlink, "d", "/etc"), entry(tar.TypeLink, "x", "d/shadow")), "hard link to /d/shadow, which"},
		{"device that cannot be", archive(t, &tar.Header{Typeflag: tar.TypeChar, Name: "x", Devmajor: 1 << 20}), "is the device 1048576:0"},
		{"owner that cannot be", archive(t, &tar.Header{Typeflag: tar.TypeReg, Name: "x", Uid: 1<<32 - 1, Format: tar.FormatPAX}), "has the owner 4294967295:0"},
		{"attribute too long", archive(t, withXattr("user.a", strings.Repeat("v", 64<<10+1))), `has the extended attribute "user.a"`},
		{"attribute name too long", archive(t, withXattr("user."+strings.Repeat("n", 256), "v")), `has the extended attribute "user.nnn`},
		{"names for all that follows", archive(t, &tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": "x"}}), `sets "path" for all that follows`},
		{"negative size", rawHeader("x", tar.TypeReg, -1), "invalid tar header"},
		{"size of no disk", append(rawHeader("x", tar.TypeReg, 1<<60), make([]byte, 1024)...), "is 1152921504606846976 bytes long"},
		{"attributes of 1 GB", append(rawHeader("x", tar.TypeXHeader, 1<<30), make([]byte, 2<<20)...), "header field too long"},
		{"name of 1 GB", append(rawHeader("x", tar.TypeGNULongName, 1<<30), make([]byte, 2<<20)...), "header field too long"},
		{"two tarballs", append(archive(t, entry(tar.TypeReg, "x", "")), archive(t, entry(tar.TypeReg, "y", ""))...), "a second tarball follows"},
		{"part of a multi-volume tarball", archive(t, entry('M', "x", "")), "tar --multi-volume"},
		{"unknown type", archive(t, entry('Z', "x", "")), "unknown type 'Z'"},
		{"empty", nil, "it is empty"},
		{"no tarball", []byte(strings.Repeat("text ", 1000)), "invalid tar header"},
		{"no end mark", archive(t, entry(tar.TypeReg, "x", ""))[:1024], "without its end mark"},
		{"cut in a header", archive(t, entry(tar.TypeReg, "x", ""))[:300], "unexpected EOF"},
		{"cut in a file", archive(t, entry(tar.TypeReg, "x", ""))[:512], "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := imagetest.Visited(New(imagetest.WriteTemp(t, tt.tar)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("visits %s, error %v; want %q", got, err, tt.want)
			}
			if got != "" {
				t.Errorf("visits %s before it is refused", got)
			}
		})
	}
}

// withXattr is a header of an empty file with an extended attribute.
func withXattr(name, value string) *tar.Header {
	h := entry(tar.TypeReg, "x", "")
	h.PAXRecords = map[string]string{xattrRecord + name: value}
	return h
}

// rawHeader is a header that no library writes.
func rawHeader(name string, kind byte, size int64) []byte {
	block := make([]byte, blockSize)
	nameField.putText(block, name)
	modeField.put(block, 0o644)
	uidField.put(block, 0)
	gidField.put(block, 0)
	sizeField.put(block, size)
	timeField.put(block, 0)
	finishBlock(block, kind)
	return block
}

// inMemory is a tarball that is no file.
func inMemory(t *testing.T, data []byte) *Tarball {
	t.Helper()
	s := NewStream("memory", bytes.NewReader(data))
	s.TempDir = t.TempDir()
	t.Cleanup(func() { imagetest.Must(t, s.Close()) })
	return s
}

// TestTruncatedTarballs cuts a tarball of each compression at many places.
func TestTruncatedTarballs(t *testing.T) {
	plain := archive(t, entry(tar.TypeReg, "a", ""), entry(tar.TypeDir, "d/", ""), entry(tar.TypeReg, "d/b", ""))
	base := imagetest.WriteTemp(t, plain)
	dir := t.TempDir() // for all of them: there are thousands
	visited := func(data []byte) (string, error) {
		s := NewStream("memory", bytes.NewReader(data))
		s.TempDir = dir
		got, err := imagetest.Visited(s)
		imagetest.Must(t, s.Close())
		return got, err
	}
	for _, tool := range []struct{ name, pkg string }{{"gzip", "gzip"}, {"zstd", "zstd"}, {"xz", "xz-utils"}, {"bzip2", "bzip2"}} {
		t.Run(tool.name, func(t *testing.T) {
			imagetest.Run(t, tool.pkg, tool.name, "--version")
			packed, err := exec.Command(tool.name, "-c", base).Output()
			imagetest.Must(t, err)
			if got, err := visited(packed); got != "/ /a /d /d/b" || err != nil {
				t.Fatalf("whole: visits %s, %v", got, err)
			}
			for cut := range len(packed) {
				if got, err := visited(packed[:cut]); err == nil || got != "" {
					t.Fatalf("cut to %d of %d bytes: visits %q, %v", cut, len(packed), got, err)
				}
			}
		})
	}
	for cut := range len(plain) - 1024 {
		if got, err := visited(plain[:cut]); err == nil || got != "" {
			t.Fatalf("plain, cut to %d: visits %q, %v", cut, got, err)
		}
	}
}

func TestTarballThatIsGone(t *testing.T) {
	if _, err := imagetest.Visited(New("/no/such.tar")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
