package metadata

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
)

// golden has one line of each kind.
const golden = `#cloudlet-metadata 1
/ mode=0700
/bin/a\040b\134\012\377ü uid=1
/bin/perl5.36 link=/bin/perl
/bin/ping xattr.security.capability=AQAAAgAgAAAAAAAAAAAAAAAAAAA= xattr.user.a\075b=
/dev/null type=char device=1,3 mode=0666
/dev/sda type=block device=8,300 gid=6 mode=0660
/etc/shadow gid=42 mode=0640
/run/initctl type=fifo mode=0600
/srv uid=4294967294 gid=4294967294 mode=06755
/var/empty type=dir
`

func parse(t testing.TB, text string) File {
	t.Helper()
	f, err := Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func format(t testing.TB, f File) string {
	t.Helper()
	var b bytes.Buffer
	n, err := f.WriteTo(&b)
	if err != nil || n != int64(b.Len()) {
		t.Fatalf("WriteTo tells %d bytes of %d, %v", n, b.Len(), err)
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	f := parse(t, golden)
	if diff := cmp.Diff(golden, format(t, f)); diff != "" {
		t.Errorf("it is written differently (-want +got):\n%s", diff)
	}
	want := Record{Path: "/bin/a b\\\n\xffü", UID: 1}
	got, ok := f.Lookup(want.Path)
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("a path with all sorts of bytes: %s", diff)
	}
	got, _ = f.Lookup("/bin/ping")
	if len(got.Xattrs) != 2 || len(got.Xattrs["security.capability"]) != 20 {
		t.Errorf("extended attributes %q", got.Xattrs)
	}
	if got, _ = f.Lookup("/dev/sda"); got.Type != images.BlockDevice || got.Major != 8 || got.Minor != 300 || got.GID != 6 || got.Mode != 0o660 {
		t.Errorf("a block device reads as %+v", got)
	}
	if _, ok := f.Lookup("/bin"); ok {
		t.Error("a path that is not there is found")
	}
}

// TestOrderIsFree reads the lines in any order, as a textual merge may leave
// them.
func TestOrderIsFree(t *testing.T) {
	f := parse(t, "#cloudlet-metadata 1\n/b uid=2\n\n/a gid=1 uid=1\n")
	if want := "#cloudlet-metadata 1\n/a uid=1 gid=1\n/b uid=2\n"; format(t, f) != want {
		t.Errorf("it is written as %q, want %q", format(t, f), want)
	}
}

func TestSecondLineOfPath(t *testing.T) {
	for _, paths := range []string{"/a /a", "/a /b /a", "/b /a /b", "/b /a /a", "/c /a /b /a"} {
		text := header + "\n"
		for p := range strings.FieldsSeq(paths) {
			text += p + " uid=1\n"
		}
		last := fmt.Sprintf("line %d: ", 1+len(strings.Fields(paths)))
		if _, err := Parse(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), last) || !strings.Contains(err.Error(), "two lines") {
			t.Errorf("%s: error %v, want one about %s", paths, err, last)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"etc/hosts uid=1", "not absolute"},
		{"/etc/../hosts uid=1", "not absolute and clean"},
		{"/etc/hosts/ uid=1", "not absolute and clean"},
		{`/a\000b uid=1`, "not possible on any filesystem"},
		{"/" + strings.Repeat("x", 256) + " uid=1", "not possible on any filesystem"},
		{`/a\9 uid=1`, "octal"},
		{`/a\777 uid=1`, "octal"},
		{"/.git/hooks/post-checkout mode=0755", "bookkeeping"},
		{"/.cloudlet/metadata uid=1", "bookkeeping"},
		{"/a uid=4294967295", "number up to"},
		{"/a uid=-1", "number up to"},
		{"/a mode=10000", "octal number"},
		{"/a mode=9", "octal number"},
		{"/a uid=1 uid=2", "uid="},
		{"/a uid", "keyword=value"},
		{"/a  uid=1", "keyword=value"},
		{"/a color=blue", "unknown keyword"},
		{"/a type=socket", "dir, char, block, fifo"},
		{"/a type=char", "device="},
		{"/a device=1,3", "type=char"},
		{"/a type=char device=1", "two numbers"},
		{"/ type=dir", "the root"},
		{"/a link=/b uid=1", "other keywords"},
		{"/a link=b", "not absolute"},
		{"/a link=/a", "another file"},
		{"/a link=/.git/config", "bookkeeping"},
		{"/a xattr.user.x=%%%", "base64"},
		{"/a xattr.=", "impossible"},
	} {
		_, err := Parse(strings.NewReader(header + "\n" + tt.line + "\n"))
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: %v, want %q in line 2", tt.line, err, tt.want)
		}
	}
	for text, want := range map[string]string{
		"":                                "empty",
		"#cloudlet-metadata 2\n":          "newer version",
		"/a uid=1\n":                      header,
		header + "\n/a uid=1\n/a uid=2\n": "line 3: /a",
		header + "\n/" + strings.Repeat("x", 5<<20): "longer than",
	} {
		if _, err := Parse(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

func TestConflictMarksAreTold(t *testing.T) {
	text := header + "\n<<<<<<< ours\n/a uid=1\n=======\n/a uid=2\n>>>>>>> theirs\n"
	_, err := Parse(strings.NewReader(text))
	if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "resolve the merge in /.cloudlet/metadata") {
		t.Errorf("a conflict reads as %v", err)
	}
}

func TestMerge(t *testing.T) {
	base := parse(t, header+"\n/a uid=1\n/b uid=1\n/c uid=1\n/d uid=1\n/gone uid=1\n")
	ours := parse(t, header+"\n/a uid=2\n/b uid=1\n/c uid=2\n/d uid=1\n/gone uid=1\n/new type=dir\n")
	theirs := parse(t, header+"\n/a uid=1\n/b uid=3\n/c uid=2\n/d uid=1\n")
	var b bytes.Buffer
	conflicts, err := Merge(&b, base, ours, theirs)
	if want := header + "\n/a uid=2\n/b uid=3\n/c uid=2\n/d uid=1\n/new type=dir\n"; b.String() != want || len(conflicts) > 0 || err != nil {
		t.Errorf("merged to %s, %v, %v; want %s", b.String(), conflicts, err, want)
	}
	b.Reset()
	conflicts, err = Merge(&b, base, ours, parse(t, header+"\n/a uid=9\n/b uid=1\n/d uid=1\n"))
	if diff := cmp.Diff([]string{"/a", "/c"}, conflicts); diff != "" || err != nil {
		t.Errorf("conflicts %v, %v", conflicts, err)
	}
	want := header + "\n<<<<<<< ours\n/a uid=2\n=======\n/a uid=9\n>>>>>>> theirs\n/b uid=1\n<<<<<<< ours\n/c uid=2\n=======\n>>>>>>> theirs\n/d uid=1\n/new type=dir\n"
	if b.String() != want {
		t.Errorf("the conflict is written as\n%s\nwant\n%s", b.String(), want)
	}
	if _, err := Parse(&b); !errors.Is(err, ErrConflict) {
		t.Errorf("what Merge marks reads as %v", err)
	}
}

func TestMergeWithoutAncestor(t *testing.T) {
	empty, err := ParseBranch(strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	conflicts, err := Merge(&b, empty, parse(t, header+"\n/a uid=1\n"), parse(t, header+"\n/a uid=1\n/b uid=1\n"))
	if want := header + "\n/a uid=1\n/b uid=1\n"; b.String() != want || len(conflicts) > 0 || err != nil {
		t.Errorf("merged to %s, %v, %v", b.String(), conflicts, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{golden, header, "", header + "\n/a link=/b\n", header + "\n=======\n", header + "\n/\\134 xattr.a\\040=eA==\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse(bytes.NewReader(text))
		if err != nil {
			return
		}
		again := parse(t, format(t, file))
		if !file.Equal(again) || format(t, again) != format(t, file) {
			t.Fatalf("%q is written as %q, and that as %q", text, format(t, file), format(t, again))
		}
		for _, r := range file.Records() {
			if !strings.HasPrefix(r.Path, "/") || strings.Contains(r.Path, "/../") || images.IsBookkeeping(r.Path) {
				t.Fatalf("%q is taken for a path", r.Path)
			}
		}
	})
}
