//go:build linux

package tarball

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images/dirtree"
	"cloudlets/images/imagetest"
	"cloudlets/testdata/needs"
)

// asLibarchive is the verdict on an archive whose files are those that libarchive reads.
const asLibarchive = "read, as bsdtar reads it"

// named begins the verdict on what is no tarball, and is refused with its name.
const named = "no tarball, and named: "

// libarchiveRefused are the verdicts on what is refused otherwise, by words of the error.
var libarchiveRefused = []struct {
	words, verdict string
	bsdtar         bool // bsdtar reads it
}{
	{"it is empty", "nothing, compressed", true},
	{"it is compressed twice", "no tarball: compressed again and again", false},
	{"what follows its end cannot be read", "refused: bytes follow the end of what is compressed; bsdtar passes over them", true},
	{"without its end mark", "refused: it ends without an end mark, so it may have been cut short; bsdtar reads what is there", true},
	{"a second tarball follows", "refused: two tarballs; bsdtar reads the first", true},
	{"it could leave the image", "refused: a name leads out of the image; bsdtar unpacks the rest", true},
	{"has an empty name", "refused, and bsdtar leaves out the file: a name is empty", false},
	{"NFSv4 access control list", "refused: ACLs that Linux has not; bsdtar leaves them out", true},
	{"only by name", "refused: ACLs that name users without numbers; bsdtar asks the computer where it runs", true},
	{"make the tarball again, or without access control lists", "refused: ACLs that Linux refuses, or as Solaris writes them; bsdtar says nothing, or warns", true},
}

// strange are verdicts on archives that are damaged.
var strange = map[string]string{
	"test_read_format_tar_invalid_pax_size.tar":              "refused, as by bsdtar: a header that means nothing",
	"test_read_format_gtar_sparse_1_17_posix10_modified.tar": "refused: a damaged list of what is sparse; GNU tar refuses it too, bsdtar reads something",
	"test_read_format_gtar_sparse_skip_entry.tar.Z":          "refused, as by GNU tar: a size that is not what the archive has; bsdtar reads it",
}

// TestLibarchiveCorpus reads what libarchive's own tests read: archives of all kinds, 377 in
// all. A tarball has the files that bsdtar unpacks. What is compressed in a way that is
// not read is unpacked as the error says, with libarchive's bsdcat, and then read. Anything else
// is refused with its name. The verdicts are those of the table in the documentation.
func TestLibarchiveCorpus(t *testing.T) {
	needs.Root(t)
	folder := filepath.Dir(filepath.Dir(needs.Made(t, "../../bin/libarchive/libarchive/test", "bin/libarchive")))
	files, err := filepath.Glob(filepath.Join(folder, "*/test/*.uu"))
	imagetest.Must(t, err)
	table := map[string][]string{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".uu")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			imagetest.Must(t, err)
			data, err := uudecode(text)
			imagetest.Must(t, err)
			verdict := libarchiveVerdict(t, name, data)
			table[verdict] = append(table[verdict], strings.TrimPrefix(name, "test_"))
		})
	}
	doc, err := os.ReadFile("../../docs/images.md")
	imagetest.Must(t, err)
	for _, verdict := range slices.Sorted(maps.Keys(table)) {
		row := fmt.Sprintf("| %s | %d | %s |", verdict, len(table[verdict]), strings.Join(table[verdict], ", "))
		if strings.HasPrefix(verdict, named) {
			row = fmt.Sprintf("| %s | %d | |", verdict, len(table[verdict]))
		}
		if !bytes.Contains(doc, []byte(row)) {
			t.Errorf("docs/images.md lacks the row\n%s", row)
		}
	}
}

// libarchiveVerdict says what comes of a file, and checks that it is right.
func libarchiveVerdict(t *testing.T, name string, data []byte) string {
	t.Helper()
	got, err := filesOf(t, data)
	if err == nil {
		want, err := unpackedByLibarchive(t, data)
		if err != nil && strings.Contains(err.Error(), "Pathname can't be converted") {
			sameAsExtracted(t, data)
			return "read, as GNU tar reads it; bsdtar refuses a name that is not UTF-8"
		}
		imagetest.Must(t, err)
		if !cmp.Equal(want, got) {
			t.Errorf("bsdtar unpacks (-), read (+): %s", cmp.Diff(want, got))
		}
		return asLibarchive
	}
	text := err.Error()
	_, what, isNamed := strings.Cut(text, "it is ")
	if what, remedy, ok := strings.Cut(what, ", not a tarball: "); isNamed && ok {
		if remedy == "" {
			t.Errorf("no word on what to do: %s", text)
		}
		if compression, ok := strings.CutPrefix(what, "a file compressed with "); ok {
			plain, err := exec.Command(needs.Tool(t, "bsdcat", "libarchive-tools"), imagetest.WriteTemp(t, data)).Output()
			if err != nil {
				return named + "a file compressed with " + compression + ", which bsdtar does not unpack by itself"
			}
			return "named, as compressed with " + compression + "; unpacked: " + libarchiveVerdict(t, name, plain)
		}
		return named + what
	}
	for _, refused := range libarchiveRefused {
		if !strings.Contains(text, refused.words) {
			continue
		}
		if _, err := exec.Command(needs.Tool(t, "bsdtar", "libarchive-tools"), "-tf", imagetest.WriteTemp(t, data)).Output(); (err == nil) != refused.bsdtar {
			t.Errorf("bsdtar says %v", err)
		}
		return refused.verdict
	}
	switch {
	case strange[name] != "":
		return strange[name]
	case strings.Contains(text, "there are only"):
		return "no tarball, and shorter than the header of one"
	case strings.Contains(text, "it is not a tarball, or its beginning is damaged"):
		return "no tarball, and without a mark that says what it is"
	}
	t.Errorf("it is refused for a reason that is not in the table: %v", err)
	return ""
}

// filesOf lists the files of a tarball.
func filesOf(t *testing.T, data []byte) (map[string]string, error) {
	t.Helper()
	if _, err := imagetest.Visited(inMemory(t, data)); err != nil {
		return nil, err
	}
	return byName(t, inMemory(t, data)), nil
}

// unpackedByLibarchive lists the files that bsdtar unpacks. The error has its words.
func unpackedByLibarchive(t *testing.T, data []byte) (map[string]string, error) {
	t.Helper()
	root := t.TempDir()
	imagetest.Must(t, os.Chmod(root, 0o755))
	unpack := exec.Command(needs.Tool(t, "bsdtar", "libarchive-tools"), "-C", root, "--numeric-owner", "-xpf", imagetest.WriteTemp(t, data))
	unpack.Env = append(os.Environ(), "LC_ALL=C.UTF-8") // else it refuses names
	if out, err := unpack.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("bsdtar: %w\n%s", err, out)
	}
	d, err := dirtree.Open(root)
	imagetest.Must(t, err)
	return byName(t, d), nil
}

// uudecode reads a file as uuencode writes it (POSIX.1-2017, uuencode): a line has three bytes
// in four characters, after a character for their number.
func uudecode(text []byte) ([]byte, error) {
	var data []byte
	begun := false
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case !begun:
			begun = bytes.HasPrefix(line, []byte("begin "))
			continue
		case string(line) == "end":
			return data, nil
		case len(line) == 0:
			continue
		}
		six := func(i int) byte { // a blank at the end of a line may be missing
			if i < len(line) {
				return (line[i] - ' ') & 63
			}
			return 0
		}
		n := int(six(0))
		for i := 1; n > 0; i += 4 {
			three := []byte{six(i)<<2 | six(i+1)>>4, six(i+1)<<4 | six(i+2)>>2, six(i+2)<<6 | six(i+3)}
			data = append(data, three[:min(n, 3)]...)
			n -= 3
		}
	}
	return nil, errors.New("it has no line that says begin, or none that says end")
}
