//go:build linux

package images

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

	"cloudlets/testdata/needs"
)

// tarOf writes a source as a tarball, with this test's own few lines.
func tarOf(t *testing.T, s Source) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	types := map[Type]byte{Regular: '0', HardLink: '1', Symlink: '2', CharDevice: '3', BlockDevice: '4', Directory: '5', FIFO: '6'}
	err := s.Walk(context.Background(), func(e Entry, content io.Reader) error {
		h := &tar.Header{Typeflag: types[e.Type], Name: "." + e.Path, Linkname: e.Link, Size: e.Size, Mode: int64(e.Mode), Uid: int(e.UID), Gid: int(e.GID),
			ModTime: e.ModTime, Devmajor: int64(e.Major), Devminor: int64(e.Minor), Format: tar.FormatPAX, PAXRecords: map[string]string{}}
		for name, value := range e.Xattrs {
			h.PAXRecords["SCHILY.xattr."+name] = value
		}
		if err := w.WriteHeader(h); err != nil || content == nil {
			return err
		}
		_, err := io.Copy(w, content)
		return err
	})
	must(t, err, w.Close())
	return writeTemp(t, b.Bytes())
}

func writeTemp(t *testing.T, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	must(t, os.WriteFile(file, data, 0o644))
	return file
}

// run runs a foreign tool of a Debian package.
func run(t *testing.T, pkg, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(needs.Tool(t, name, pkg), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, args, err, out)
	}
}

func TestTarSourceEqualsItsDirectory(t *testing.T) {
	root := testRoot(t)
	d, err := NewDirSource(root)
	must(t, err)
	want := listing(t, d)
	if diff := cmp.Diff(want, listing(t, NewTarSource(tarOf(t, d)))); diff != "" {
		t.Error(diff)
	}
}

// TestTarSourceReadsForeignTarballs has GNU tar pack one of everything, in
// both of its formats and with each compression.
func TestTarSourceReadsForeignTarballs(t *testing.T) {
	root := testRoot(t)
	d, err := NewDirSource(root)
	must(t, err)
	want := listing(t, d)
	for _, tt := range []struct{ name, pkg, tool, flag string }{
		{"plain.tar", "tar", "tar", "--no-auto-compress"}, {"x.tar.gz", "gzip", "gzip", "-z"}, {"x.tar.zst", "zstd", "zstd", "--zstd"},
		{"x.tar.xz", "xz-utils", "xz", "-J"}, {"misnamed.tar.gz", "bzip2", "bzip2", "-j"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, tt.pkg, tt.tool, "--version")
			file := filepath.Join(t.TempDir(), tt.name)
			run(t, "tar", "tar", "-C", root, "--sort=name", "--format=posix", "--xattrs", "--xattrs-include=*", tt.flag, "-cf", file, ".")
			if diff := cmp.Diff(want, listing(t, NewTarSource(file))); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("GNU format", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "x.tar")
		run(t, "tar", "tar", "-C", root, "--sort=name", "--format=gnu", "-cf", file, ".")
		got := strings.Join(listing(t, NewTarSource(file)), "\n")
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

func tarball(t *testing.T, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(h.Name))
		}
		must(t, w.WriteHeader(h))
		if h.Typeflag == tar.TypeReg {
			_, err := io.WriteString(w, h.Name)
			must(t, err)
		}
	}
	must(t, w.Close())
	return b.Bytes()
}

func visited(s Source) (string, error) {
	var names []string
	err := s.Walk(context.Background(), func(e Entry, _ io.Reader) error {
		names = append(names, e.Path)
		return nil
	})
	return strings.Join(names, " "), err
}

func TestTarSourceMakesMissingParents(t *testing.T) {
	got, err := visited(NewTarSource(writeTemp(t, tarball(t, entry(tar.TypeReg, "a/b/c", ""), entry(tar.TypeReg, "/a/d", ""), entry(tar.TypeReg, "./e", ""), &tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "a revision"}}))))
	if want := "/ /a /a/b /a/b/c /a/d /e"; got != want || err != nil {
		t.Errorf("visits %s, %v; want %s", got, err, want)
	}
}

func TestTarSourceTakesADirectoryAsItIsInTheEnd(t *testing.T) {
	late := entry(tar.TypeDir, "a/", "")
	late.Mode, late.Uid = 0o2770, 7
	twice := entry(tar.TypeDir, "b/", "")
	twice.Mode = 0o700
	s := NewTarSource(writeTemp(t, tarball(t, entry(tar.TypeReg, "a/x", ""), late, entry(tar.TypeDir, "b/", ""), twice)))
	var got []Entry
	must(t, s.Walk(context.Background(), func(e Entry, _ io.Reader) error { got = append(got, e); return nil }))
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
		{"leaves the image", tarball(t, entry(tar.TypeReg, "a/../../x", "")), `entry "a/../../x": has ".."`},
		{"hard link leaves the image", tarball(t, entry(tar.TypeLink, "x", "../etc/shadow")), `has ".." in the name "../etc/shadow"`},
		{"hard link to nothing", tarball(t, entry(tar.TypeLink, "x", "gone")), "hard link to /gone, which the tarball does not hold before it"},
		{"hard link to itself", tarball(t, entry(tar.TypeLink, "x", "x")), "hard link to /x, which"},
		{"hard link to a directory", tarball(t, entry(tar.TypeDir, "d/", ""), entry(tar.TypeLink, "x", "d")), "hard link to the directory /d"},
		{"a file over a full directory", tarball(t, entry(tar.TypeReg, "x/y", ""), entry(tar.TypeSymlink, "x", "/etc")), "takes the place of the directory /x, in which there are files"},
		{"through a link", tarball(t, entry(tar.TypeSymlink, "d", "/etc"), entry(tar.TypeReg, "d/passwd", "")), "is in /d, which is not a directory"},
		{"in a file", tarball(t, entry(tar.TypeReg, "d", ""), entry(tar.TypeReg, "d/x/y", "")), "is in /d, which is not a directory"},
		{"the root a link", tarball(t, entry(tar.TypeSymlink, "./", "/etc")), "makes the root something other"},
		{"name too long", tarball(t, long), "a name of 256 bytes"},
		{"path too long", tarball(t, entry(tar.TypeReg, strings.Repeat("n/", 2048)+"n", "")), "has a path of 4098 bytes"},
		{"link target too long", tarball(t, entry(tar.TypeSymlink, "x", strings.Repeat("n", 4096))), "link to an impossible path"},
		{"through a later link", tarball(t, entry(tar.TypeDir, "d/", ""), entry(tar.TypeSymlink, "d", "/etc"), entry(tar.TypeReg, "d/passwd", "")), "is in /d, which is not a directory"},
		{"hard link by a link", tarball(t, entry(tar.TypeSymlink, "d", "/etc"), entry(tar.TypeLink, "x", "d/shadow")), "hard link to /d/shadow, which"},
		{"device that cannot be", tarball(t, &tar.Header{Typeflag: tar.TypeChar, Name: "x", Devmajor: 1 << 20}), "is the device 1048576:0"},
		{"owner that cannot be", tarball(t, &tar.Header{Typeflag: tar.TypeReg, Name: "x", Uid: 1<<32 - 1, Format: tar.FormatPAX}), "has the owner 4294967295:0"},
		{"time that cannot be", tarball(t, &tar.Header{Typeflag: tar.TypeReg, Name: "x", ModTime: time.Unix(1<<62, 0), Format: tar.FormatGNU}), "is of a time 4611686018427387904 seconds"},
		{"attribute too long", tarball(t, withXattr("user.a", strings.Repeat("v", 64<<10+1))), `has the extended attribute "user.a"`},
		{"attribute name too long", tarball(t, withXattr("user."+strings.Repeat("n", 256), "v")), `has the extended attribute "user.nnn`},
		{"names for all that follows", tarball(t, &tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"path": "x"}}), `sets "path" for all that follows`},
		{"negative size", rawHeader("x", tar.TypeReg, -1), "invalid tar header"},
		{"size of no disk", append(rawHeader("x", tar.TypeReg, 1<<60), make([]byte, 1024)...), "is 1152921504606846976 bytes long"},
		{"attributes of 1 GB", append(rawHeader("x", tar.TypeXHeader, 1<<30), make([]byte, 2<<20)...), "header field too long"},
		{"name of 1 GB", append(rawHeader("x", tar.TypeGNULongName, 1<<30), make([]byte, 2<<20)...), "header field too long"},
		{"two tarballs", append(tarball(t, entry(tar.TypeReg, "x", "")), tarball(t, entry(tar.TypeReg, "y", ""))...), "a second tarball follows"},
		{"part of a multi-volume tarball", tarball(t, entry('M', "x", "")), "unknown type 'M'"},
		{"unknown type", tarball(t, entry('Z', "x", "")), "unknown type 'Z'"},
		{"empty", nil, "it is empty"},
		{"no tarball", []byte(strings.Repeat("text ", 1000)), "invalid tar header"},
		{"no end mark", tarball(t, entry(tar.TypeReg, "x", ""))[:1024], "without its end mark"},
		{"cut in a header", tarball(t, entry(tar.TypeReg, "x", ""))[:300], "unexpected EOF"},
		{"cut in a file", tarball(t, entry(tar.TypeReg, "x", ""))[:512], "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := visited(NewTarSource(writeTemp(t, tt.tar)))
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
	block := make([]byte, tarBlock)
	tarName.putText(block, name)
	tarMode.put(block, 0o644)
	tarUID.put(block, 0)
	tarGID.put(block, 0)
	tarSize.put(block, size)
	tarTime.put(block, 0)
	finishBlock(block, kind)
	return block
}

// inMemory is a tarball that is no file.
func inMemory(t *testing.T, data []byte) *TarSource {
	t.Helper()
	s := NewTarStream("memory", bytes.NewReader(data))
	s.TempDir = t.TempDir()
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

// TestTruncatedTarballs cuts a tarball of each compression at many places.
func TestTruncatedTarballs(t *testing.T) {
	plain := tarball(t, entry(tar.TypeReg, "a", ""), entry(tar.TypeDir, "d/", ""), entry(tar.TypeReg, "d/b", ""))
	base := writeTemp(t, plain)
	for _, tool := range []struct{ name, pkg string }{{"gzip", "gzip"}, {"zstd", "zstd"}, {"xz", "xz-utils"}, {"bzip2", "bzip2"}} {
		t.Run(tool.name, func(t *testing.T) {
			run(t, tool.pkg, tool.name, "--version")
			packed, err := exec.Command(tool.name, "-c", base).Output()
			must(t, err)
			if got, err := visited(inMemory(t, packed)); got != "/ /a /d /d/b" || err != nil {
				t.Fatalf("whole: visits %s, %v", got, err)
			}
			for cut := range len(packed) {
				if got, err := visited(inMemory(t, packed[:cut])); err == nil || got != "" {
					t.Fatalf("cut to %d of %d bytes: visits %q, %v", cut, len(packed), got, err)
				}
			}
		})
	}
	for cut := range len(plain) - 1024 {
		if got, err := visited(inMemory(t, plain[:cut])); err == nil || got != "" {
			t.Fatalf("plain, cut to %d: visits %q, %v", cut, got, err)
		}
	}
}

func TestTarballThatIsGone(t *testing.T) {
	if _, err := visited(NewTarSource("/no/such.tar")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
