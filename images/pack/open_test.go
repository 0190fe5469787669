//go:build linux

package pack

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"cloudlets/images"
)

// smallTree is a pack of few bytes, with text that zstd compresses.
func smallTree() memSource {
	return memSource{
		dirFile("/"),
		regFile("/one", []byte(strings.Repeat("content of the first file ", 20))),
		regFile("/\xff", []byte("content of the second file")),
		linkFile("/l", "/one"),
	}
}

// contents reads all files of a pack.
func contents(p *Pack) (map[string]string, error) {
	m := make(map[string]string)
	err := p.Walk(context.Background(), func(e images.Entry, r io.Reader) error {
		if r == nil {
			m[e.Path] = e.Link
			return nil
		}
		b, err := io.ReadAll(r)
		m[e.Path] = string(b)
		return err
	})
	return m, err
}

func TestNoCutPackOpens(t *testing.T) {
	data, _ := mustWrite(t, smallTree(), Options{})
	for n := range data {
		if _, err := Open(bytes.NewReader(data[:n]), int64(n)); err == nil {
			t.Fatalf("the first %d of %d bytes open as a pack", n, len(data))
		}
	}
}

func TestNoFlippedBitPassesForContent(t *testing.T) {
	data, info := mustWrite(t, smallTree(), Options{})
	p, err := Open(bytes.NewReader(data), info.Size)
	if err != nil {
		t.Fatal(err)
	}
	want, err := contents(p)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(data) {
		bad := bytes.Clone(data)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := Fetch(t.Context(), Local{bytes.NewReader(bad)}, info.Ref); err != nil {
			continue
		}
		p, err := Open(bytes.NewReader(bad), info.Size)
		if err != nil {
			t.Fatalf("bit %d: Fetch takes it, Open does not: %v", bit, err)
		}
		if got, err := contents(p); err == nil && !cmp.Equal(got, want) {
			t.Fatalf("bit %d: damaged content passes: %s", bit, cmp.Diff(want, got))
		}
	}
}

// tableEncoder packs the tables of packOf.
func tableEncoder(t testing.TB) *zstd.Encoder {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

// packOf makes a pack with any table of contents behind any frames.
func packOf(enc *zstd.Encoder, frames []byte, table string) []byte {
	packed := enc.EncodeAll([]byte(table), nil)
	f := footer{off: int64(len(frames)) + skipHeader, packed: int64(len(packed)), raw: int64(len(table))}
	return slices.Concat(frames, appendSkippable(nil, len(packed)), packed, f.encode())
}

func TestHostileTables(t *testing.T) {
	frames := noise(1, 1000)
	sum := `"chunkDigest":"` + digest{}.String() + `"`
	reg := func(rest string) string {
		return `{"name":"f","type":"reg","size":100,` + sum + `,` + rest + `}`
	}
	for name, test := range map[string]struct{ rows, want string }{
		"climbing name":       {`{"name":"../f","type":"dir"}`, "not absolute and clean"},
		"dots in the middle":  {`{"name":"a/../f","type":"dir"}`, "not absolute and clean"},
		"absolute name":       {`{"name":"/etc","type":"dir"}`, "not absolute and clean"},
		"empty name":          {`{"name":"","type":"fifo"}`, "root is not a directory"},
		"NUL in raw name":     {`{"name":"x","rawName":"YQBi","type":"dir"}`, "not absolute and clean"},
		"climbing raw name":   {`{"name":"x","rawName":"Li4=","type":"dir"}`, "not absolute and clean"},
		"through a symlink":   {`{"name":"a","type":"symlink","linkName":"/etc"},{"name":"a/b","type":"fifo"}`, "the directory of /a/b"},
		"climbing hard link":  {`{"name":"a","type":"hardlink","linkName":"../x"}`, "not an absolute, clean path"},
		"link before nothing": {`{"name":"a","type":"hardlink","linkName":"b"}`, "hard link to /b"},
		"links in a circle":   {`{"name":"a","type":"hardlink","linkName":"b"},{"name":"b","type":"hardlink","linkName":"a"}`, "hard link to /b"},
		"twice":               {`{"name":"a","type":"fifo"},{"name":"a","type":"fifo"}`, "twice"},
		"unknown type":        {`{"name":"a","type":"socket"}`, "unknown type"},
		"mode":                {`{"name":"a","type":"fifo","mode":65535}`, "mode"},
		"negative size":       {`{"name":"a","type":"reg","size":-1}`, "size"},
		"no chunks":           {`{"name":"a","type":"reg","size":5}`, "is not a digest"},
		"chunk of nothing":    {`{"name":"a","type":"chunk"}`, "without a file"},
		"chunk of a dir":      {`{"name":"a","type":"dir"},{"name":"a","type":"chunk"}`, "without a file"},
		"frame past the end":  {reg(`"endOffset":1001`), "out of bounds"},
		"frame before itself": {reg(`"offset":5,"endOffset":5`), "out of bounds"},
		"negative frame":      {reg(`"offset":-5,"endOffset":5`), "out of bounds"},
		"chunk too large":     {`{"name":"f","type":"reg","size":5000000,` + sum + `,"endOffset":10}`, "out of bounds"},
		"inner too large":     {reg(`"innerOffset":4194304,"endOffset":10`), "out of bounds"},
		"inner negative":      {reg(`"innerOffset":-1,"endOffset":10`), "out of bounds"},
		"half covered":        {reg(`"chunkSize":50,"endOffset":10`), "50 of its 100"},
		"gap in the file":     {reg(`"chunkOffset":10,"endOffset":10`), "chunk covers"},
		"overlap in a frame":  {reg(`"endOffset":10`) + `,{"name":"g","type":"reg","size":5,` + sum + `,"innerOffset":99,"endOffset":10}`, "overlaps"},
		"overlapping frames":  {reg(`"endOffset":10`) + `,{"name":"g","type":"reg","size":5,` + sum + `,"offset":9,"endOffset":20}`, "begins inside"},
		"bad time":            {`{"name":"a","type":"fifo","modtime":"yesterday"}`, "modtime"},
	} {
		t.Run(name, func(t *testing.T) {
			data := packOf(tableEncoder(t), frames, `{"version":1,"entries":[`+test.rows+`]}`)
			_, err := Open(bytes.NewReader(data), int64(len(data)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// checkPack checks what must hold for every pack that opens.
func checkPack(t *testing.T, data []byte) {
	p, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return
	}
	_, _ = contents(p)
	for _, e := range p.TOC().Entries() {
		if !validPath(e.Path) {
			t.Errorf("path %q", e.Path)
		}
		if e.Path == "/" {
			continue
		}
		if dir, err := p.Entry(parentOf(e.Path)); err != nil || dir.Type != images.Directory {
			t.Errorf("%q is in no directory", e.Path)
		}
	}
	var table bytes.Buffer // write the table again and read it back
	enc := json.NewEncoder(&table)
	again := &TOC{end: p.toc.end, byPath: make(map[string]int32)}
	for _, r := range p.toc.rows(nil) {
		table.Reset()
		var back row
		if err := enc.Encode(r); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(table.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		if err := again.addRow(&back); err != nil {
			t.Fatalf("row %s does not read back: %v", table.Bytes(), err)
		}
	}
	if !cmp.Equal(again.Entries(), p.TOC().Entries()) || !slices.Equal(again.chunks, p.toc.chunks) || !slices.Equal(again.frames, p.toc.frames) {
		t.Errorf("the table changes when it is written again: %s", cmp.Diff(p.TOC().Entries(), again.Entries()))
	}
}

func parentOf(p string) string {
	dir, _ := splitPath(p)
	return dir
}

func FuzzOpen(f *testing.F) {
	data, _ := mustWrite(f, smallTree(), Options{})
	f.Add(data)
	f.Add(data[len(data)-footerFrame:])
	f.Fuzz(func(t *testing.T, data []byte) { checkPack(t, data) })
}

func FuzzTable(f *testing.F) {
	data, info := mustWrite(f, smallTree(), Options{})
	p, err := Open(bytes.NewReader(data), info.Size)
	if err != nil {
		f.Fatal(err)
	}
	var rows []string
	for _, r := range p.toc.rows(nil) {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		rows = append(rows, string(b))
	}
	f.Add(`{"version":1,"entries":[` + strings.Join(rows, ",") + `]}`)
	f.Add(`{"entries":[{"name":"a/","type":"dir"},{"name":"a/b","type":"char","devMajor":1,"xattrs":{"user.x":"AA=="}}]}`)
	frames := bytes.Clone(data[:p.toc.end])
	enc := tableEncoder(f)
	f.Fuzz(func(t *testing.T, table string) { checkPack(t, packOf(enc, frames, table)) })
}
