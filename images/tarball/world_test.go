//go:build linux

package tarball

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/imagetest"
	"cloudlets/testdata/needs"
)

// TestTarWithZerosAfterTheCompression reads what bsdtar and media pad.
func TestTarWithZerosAfterTheCompression(t *testing.T) {
	data := archive(t, entry('0', "x", ""))
	for _, c := range compressions {
		packed := compressed(t, c.name, c.pkg, bytes.NewReader(data))
		for _, n := range []int{4, 512, 100_000} {
			if got, err := imagetest.Visited(inMemory(t, slices.Concat(packed, make([]byte, n)))); got != "/ /x" || err != nil {
				t.Errorf("%s and %d zeros: visits %q, %v", c.name, n, got, err)
			}
		}
		for _, rest := range [][]byte{{1}, []byte("more"), packed} {
			if got, err := imagetest.Visited(inMemory(t, slices.Concat(packed, make([]byte, 510), rest))); err == nil || got != "" {
				t.Errorf("%s, zeros and %d bytes: visits %q, %v", c.name, len(rest), got, err)
			}
		}
	}
}

// TestTarEndsAsOldToolsWriteIt reads what GNU tar and bsdtar read, and loses
// nothing.
func TestTarEndsAsOldToolsWriteIt(t *testing.T) {
	whole := archive(t, entry('0', "x", ""), entry('0', "y", ""))
	files := whole[:len(whole)-2*blockSize]
	zero := make([]byte, blockSize)
	stale := bytes.Repeat([]byte("stale "), recordSize)[:recordSize-len(whole)]
	header := rawHeader("old", tar.TypeReg, 0)
	for name, tt := range map[string]struct {
		tar  []byte
		want string // an error, or ""
	}{
		"one block of zeros":              {slices.Concat(files, zero), ""},
		"one block of zeros and others":   {slices.Concat(files, zero, bytes.Repeat([]byte("garbage "), 1000)), ""},
		"a full record":                   {slices.Concat(whole, stale), ""},
		"an old header in a full record":  {slices.Concat(whole, header, stale[len(header):]), ""},
		"a tarball after a zero block":    {slices.Concat(files, zero, whole), "a second tarball follows"},
		"a tarball in a full record":      {slices.Concat(whole, header, make([]byte, len(stale)-len(header))), "a second tarball follows"},
		"a tarball without magic follows": {slices.Concat(whole, withoutMagic(header), make([]byte, 2*blockSize)), "a second tarball follows"},
	} {
		got, err := imagetest.Visited(inMemory(t, tt.tar))
		if tt.want == "" && (got != "/ /x /y" || err != nil) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: visits %q, %v; want %q", name, got, err, tt.want)
		}
	}
}

func withoutMagic(header []byte) []byte {
	old := bytes.Clone(header)
	clear(magicField.of(old))
	putChecksum(old)
	return old
}

// records is a header of an empty file with records of an extended header.
func records(name string, kind byte, pairs ...string) *tar.Header {
	h := entry(kind, name, "")
	h.PAXRecords = map[string]string{}
	for pair := range slices.Chunk(pairs, 2) {
		h.PAXRecords[pair[0]] = pair[1]
	}
	return h
}

// single is the entry of the only file of a tarball.
func single(t *testing.T, s *Tarball) images.Entry {
	t.Helper()
	all := imagetest.All(t, s)
	if len(all) != 2 {
		t.Fatalf("%d files", len(all))
	}
	return all[1].Entry
}

func TestTarAccessControlLists(t *testing.T) {
	list := imagetest.ACL([3]uint32{1, 6, noID}, [3]uint32{2, 6, 33}, [3]uint32{4, 4, noID}, [3]uint32{8, 1, 7}, [3]uint32{16, 7, noID}, [3]uint32{32, 0, noID})
	for _, text := range []string{
		"user::rw-\nuser:33:rw-\ngroup::r--\ngroup:7:--x\nmask::rwx\nother::---\n",
		"user::rw-,group::r--,other::---,user:www-data:rw-:33,group:lp:--x:7,mask::rwx", // star and libarchive
		"user::rw-,user:33:rw-\t#effective:rw-,group::r--,group:7:--x,mask:rwx,other:---",
	} {
		e := single(t, inMemory(t, archive(t, records("x", '0', accessRecord, text))))
		if e.Mode != 0o670 || e.Xattrs[accessXattr] != list {
			t.Errorf("%q: mode %#o, list %x, want %x", text, e.Mode, e.Xattrs[accessXattr], list)
		}
	}
	if e := single(t, inMemory(t, archive(t, records("x", '0', accessRecord, "user::rw-,group::r--,other::---")))); e.Mode != 0o640 || len(e.Xattrs) > 0 {
		t.Errorf("a list that says what a mode says: %#o, %q", e.Mode, e.Xattrs)
	}
	if e := single(t, inMemory(t, archive(t, records("x/", '5', defaultRecord, "user::rw-,group::r--,other::---")))); e.Mode != 0o644 || len(e.Xattrs[defaultXattr]) != 28 {
		t.Errorf("a default list: %#o, %q", e.Mode, e.Xattrs)
	}
	for text, want := range map[string]string{
		"user::rw-,user:www-data:rw-,group::r--,mask::rw-,other::r--": `says "www-data" only by name: make the tarball with numbers`,
		"user::rw-,user:33:rw-,group::r--,other::r--":                 "it is damaged",
		"user::rw-,group::r--":                                        "it is damaged",
		"user::rw-,user::rw-,group::r--,other::r--":                   "it is damaged",
		"user::rwz,group::r--,other::r--":                             "it is damaged",
		"nobody::rw-":                                                 "it is damaged",
		"user":                                                        "it is damaged",
	} {
		if got, err := imagetest.Visited(inMemory(t, archive(t, records("x", '0', accessRecord, text)))); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: visits %q, %v; want %q", text, got, err, want)
		}
	}
	nfs4 := archive(t, records("x", '0', nfs4Record, "group:everyone:delete::deny"))
	if got, err := imagetest.Visited(inMemory(t, nfs4)); err == nil || !strings.Contains(err.Error(), "NFSv4 access control list") {
		t.Errorf("visits %q, %v", got, err)
	}
}

func TestTarOfSolaris(t *testing.T) {
	extended := archive(t, records("x", '0', "SCHILY.xattr.user.a", "b"))
	if kind := typeField.of(extended); kind[0] != 'x' {
		t.Fatalf("the first block has the type %q", kind)
	}
	typeField.of(extended)[0] = solarisExtended
	putChecksum(extended[:blockSize])
	if e := single(t, inMemory(t, extended)); e.Xattrs["user.a"] != "b" {
		t.Errorf("%+v", e)
	}
	for text, want := range map[string]string{
		"1000004\x00user::rw-,user:lp:rwx:71,group::r--,mask:r--,other:---\x00": "",
		"3000001\x00owner@:rw:allow\x00":                                        "access control list of Solaris",
	} {
		acl := append(rawHeader("x", solarisACL, int64(len(text))), append([]byte(text), make([]byte, padding(int64(len(text))))...)...)
		s := inMemory(t, append(acl, archive(t, entry('0', "x", ""))...))
		if want == "" {
			if e := single(t, s); e.Mode != 0o640 || len(e.Xattrs[accessXattr]) != 44 {
				t.Errorf("%#o, %q", e.Mode, e.Xattrs)
			}
		} else if _, err := imagetest.Visited(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestTarAttributesOfOtherTools reads attributes in each form of record.
func TestTarAttributesOfOtherTools(t *testing.T) {
	const label = "system_u:object_r:etc_t:s0"
	for name, h := range map[string]*tar.Header{
		"GNU tar's label": records("x", '0', selinuxRecord, label), "star's attribute": records("x", '0', "SCHILY.xattr.security.selinux", label+"\x00"),
		"libarchive's": records("x", '0', "LIBARCHIVE.xattr.security%2Eselinux", "c3lzdGVtX3U6b2JqZWN0X3I6ZXRjX3Q6czAA"),
	} {
		if e := single(t, inMemory(t, archive(t, h))); e.Xattrs["security.selinux"] != label+"\x00" || len(e.Xattrs) != 1 {
			t.Errorf("%s: %q", name, e.Xattrs)
		}
	}
}

// TestTarOfAMac leaves out what Linux cannot store, so that root can unpack it,
// and says so once.
func TestTarOfAMac(t *testing.T) {
	provenance := []string{"SCHILY.xattr.com.apple.provenance", "\x01\x02", "LIBARCHIVE.xattr.com.apple.provenance", "AQI", "SCHILY.xattr.user.kept", "yes"}
	link := records("link", '2', "SCHILY.xattr.user.not-on-links", "x")
	link.Linkname = "a"
	s := inMemory(t, archive(t, records("a", '0', provenance...), records("b", '0', provenance...), link))
	var notes []string
	s.Note = func(sentence string) { notes = append(notes, sentence) }
	for _, f := range imagetest.All(t, s)[1:] {
		if want := map[string]string{"user.kept": "yes"}; f.Type == images.Regular && !cmp.Equal(f.Xattrs, want) || f.Type == images.Symlink && f.Xattrs != nil {
			t.Errorf("%s has %q", f.Path, f.Xattrs)
		}
	}
	if want := []string{"extended attributes that Linux cannot store are left out of 3 files: com.apple.provenance, user.not-on-links"}; !slices.Equal(notes, want) {
		t.Errorf("it says %q, want %q", notes, want)
	}
}

func TestTarOfAFarFuture(t *testing.T) {
	future, sound := entry('0', "future", ""), entry('0', "sound", "")
	future.ModTime = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)
	s := inMemory(t, archive(t, future, sound))
	var notes []string
	s.Note = func(sentence string) { notes = append(notes, sentence) }
	all := imagetest.All(t, s)
	if got := all[1].ModTime; got.Year() != 9999 || !all[2].ModTime.Equal(sound.ModTime) {
		t.Errorf("times %v, %v", got, all[2].ModTime)
	}
	if want := []string{"1 file of a time before the year 1 or after 9999 get the nearest of these: /future is the first"}; !slices.Equal(notes, want) {
		t.Errorf("it says %q, want %q", notes, want)
	}
}

// TestTarThroughLinks follows symbolic links on the way to a file within the
// image, as GNU tar does, which makes the same tree of it.
func TestTarThroughLinks(t *testing.T) {
	needs.Root(t) // to extract owners
	usr := func(more ...*tar.Header) []byte {
		return archive(t, append([]*tar.Header{entry('5', "usr/", ""), entry('5', "usr/lib/", ""), entry('2', "lib", "usr/lib")}, more...)...)
	}
	for name, data := range map[string][]byte{
		"a file":                   usr(entry('0', "lib/firmware/x", "")),
		"two, with a new way":      usr(entry('0', "lib/a", ""), entry('5', "other/", ""), entry('2', "lib", "other"), entry('0', "lib/b", "")),
		"a link that became a dir": usr(entry('0', "lib/a", ""), entry('5', "lib/", ""), entry('0', "lib/b", "")),
		"a hard link's target":     usr(entry('0', "lib/a", ""), entry('1', "b", "lib/a")),
		"a link in a link":         usr(entry('5', "usr/lib/x/", ""), entry('2', "usr/lib/y", "x"), entry('0', "lib/y/z", "")),
		"a later file":             usr(entry('0', "usr/lib/a", ""), entry('2', "lib/a", "b")),
	} {
		t.Run(name, func(t *testing.T) {
			sameAsExtracted(t, data)
			checkSource(t, inMemory(t, data))
		})
	}
	// GNU tar does not follow these, but they are sound within the image.
	for target, want := range map[string]string{"/usr/lib": "/usr/lib/x", "../../usr/./lib/": "/usr/lib/x"} {
		got, err := imagetest.Visited(inMemory(t, archive(t, entry('5', "usr/lib/", ""), entry('2', "lib", target), entry('0', "lib/x", ""))))
		if err != nil || !strings.HasSuffix(got, want) {
			t.Errorf("%s: visits %q, %v", target, got, err)
		}
	}
}

func TestTarOfAnIncrementalBackup(t *testing.T) {
	root := t.TempDir()
	imagetest.Must(t, os.MkdirAll(filepath.Join(root, "d/e"), 0o755), os.WriteFile(filepath.Join(root, "d/f"), []byte("f"), 0o644))
	for _, format := range []string{"gnu", "posix"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "x.tar")
		imagetest.Run(t, "tar", "tar", "-C", root, "--format="+format, "-g", filepath.Join(dir, "snap"), "-cf", file, ".")
		if got, err := imagetest.Visited(New(file)); got != "/ /d /d/e /d/f" || err != nil {
			t.Errorf("%s: visits %q, %v", format, got, err)
		}
	}
}

// TestTarLeavesOutHoles writes sparse files, and has all tools that know them
// read them.
func TestTarLeavesOutHoles(t *testing.T) {
	root := t.TempDir()
	contents := map[string]string{}
	for name, at := range map[string][]int64{"hole": nil, "end": {8<<20 - 1}, "start": {0}, "many": nil} {
		if name == "many" {
			for i := range int64(100) {
				at = append(at, i*80_000)
			}
		}
		f, err := os.Create(filepath.Join(root, name))
		imagetest.Must(t, err, f.Truncate(8<<20))
		content := make([]byte, 8<<20)
		for _, at := range at {
			_, err := f.WriteAt([]byte{1}, at)
			imagetest.Must(t, err)
			content[at] = 1
		}
		imagetest.Must(t, f.Close())
		contents[name] = string(content)
	}
	d, err := dirtree.Open(root)
	imagetest.Must(t, err)
	data := tarBytes(t, d)
	if len(data) > 1<<20 {
		t.Errorf("the tarball has %d bytes", len(data))
	}
	if !bytes.Equal(data, tarBytes(t, d)) {
		t.Error("the same directory gives another tarball")
	}
	file := imagetest.WriteTemp(t, data)
	checkSource(t, New(file))
	for _, command := range [][]string{
		{"tar", "tar", "-xf", file, "-C"}, {"libarchive-tools", "bsdtar", "-xf", file, "-C"}, {"7zip", "7zz", "x", file, "-o"},
		{"python3", "python3", "-c", "import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])", file},
	} {
		out := t.TempDir()
		args := append(slices.Clone(command[2:]), out)
		if command[1] == "7zz" {
			args = []string{"x", file, "-o" + out}
		}
		imagetest.Run(t, command[0], command[1], args...)
		for name, want := range contents {
			if got, err := os.ReadFile(filepath.Join(out, name)); err != nil || string(got) != want {
				t.Errorf("%s reads %s otherwise: %v", command[1], name, err)
			}
		}
	}
}

// TestTarCompressionsThatAreUnusual reads filters of xz, and says what to do
// with a window that takes too much memory.
func TestTarCompressionsThatAreUnusual(t *testing.T) {
	data := archive(t, entry('0', "x", ""))
	for _, filter := range []string{"--x86", "--arm", "--armthumb", "--powerpc", "--ia64", "--sparc", "--delta=dist=4"} {
		packed := filtered(t, data, needs.Tool(t, "xz", "xz-utils"), "-c", filter, "--lzma2=preset=1")
		if got, err := imagetest.Visited(inMemory(t, packed)); got != "/ /x" || err != nil {
			t.Errorf("xz %s: visits %q, %v", filter, got, err)
		}
	}
	for name, packed := range map[string][]byte{
		`"zstd -d --long=31"`: filtered(t, data, needs.Tool(t, "zstd", "zstd"), "-c", "--long=31"),
		`"xz -d"`:             filtered(t, data, needs.Tool(t, "xz", "xz-utils"), "-c", "--lzma2=preset=0,dict=192MiB"),
	} {
		if got, err := imagetest.Visited(inMemory(t, packed)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: visits %q, %v", name, got, err)
		}
	}
}

// filtered is what a tool writes that reads data.
func filtered(t *testing.T, data []byte, tool string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(tool, args...)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(data), os.Stderr
	out, err := cmd.Output()
	imagetest.Must(t, err)
	return out
}

// FuzzACL never panics, and what it takes is in the kernel's order.
func FuzzACL(f *testing.F) {
	f.Add("user::rw-,user:33:rw-,group::r--,mask::rw-,other::r--")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseACL(text)
		if err != nil {
			return
		}
		raw := list.encode()
		if len(raw) != 4+8*len(list) || binary.LittleEndian.Uint32([]byte(raw)) != 2 || list[0].tag != aclUserObj || list[len(list)-1].tag != aclOther {
			t.Errorf("%q is %x", text, raw)
		}
	})
}
