//go:build linux

package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"cloudlets/images"
)

func TestSamePackWhateverTheWorkers(t *testing.T) {
	src := append(plainTree(), regFile("/text", bytes.Repeat([]byte("compress me, and me again; "), 80000)))
	want, info := mustWrite(t, src, Options{Workers: 1})
	for _, workers := range []int{2, 4, 7} {
		got, again := mustWrite(t, src, Options{Workers: workers})
		if !bytes.Equal(got, want) || again != info {
			t.Errorf("with %d workers the pack is %+v, with one %+v", workers, again, info)
		}
	}
}

func TestLevel(t *testing.T) {
	var text bytes.Buffer
	for i := range 20000 {
		fmt.Fprintf(&text, "line %d of a file that is much like others, %x\n", i, i*i)
	}
	src := memSource{regFile("/text", text.Bytes())}
	fast, _ := mustWrite(t, src, Options{Level: 1})
	small, _ := mustWrite(t, src, Options{Level: 19})
	if len(small) >= len(fast) {
		t.Errorf("level 19 gives %d bytes, level 1 %d", len(small), len(fast))
	}
}

func TestPackOfAPackIsThePack(t *testing.T) {
	data, info := mustWrite(t, plainTree(), Options{})
	p, err := Open(bytes.NewReader(data), info.Size)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := mustWrite(t, p, Options{})
	if !bytes.Equal(again, data) {
		t.Error("walking a pack gives another image than went into it")
	}
}

func TestSkip(t *testing.T) {
	src := memSource{
		dirFile("/"),
		dirFile("/a"),
		regFile("/a/volatile", []byte("kept for its links")),
		regFile("/a/volatile2", []byte("gone")),
		dirFile("/cache"),
		dirFile("/cache/kept"),
		regFile("/cache/kept/file", []byte("stays")),
		regFile("/cache/gone", []byte("gone")),
		dirFile("/z"),
		linkFile("/z/link", "/a/volatile"),
		linkFile("/z/link2", "/z/link"),
		linkFile("/z/volatile-link", "/a/volatile2"),
	}
	skip := func(p string) bool {
		return strings.Contains(p, "volatile") || p == "/cache" || p == "/cache/gone"
	}
	data, info := mustWrite(t, src, Options{Skip: skip})
	p, err := Open(bytes.NewReader(data), info.Size)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range p.TOC().Entries() {
		paths = append(paths, e.Path)
	}
	if got := strings.Join(paths, " "); got != "/ /a /cache /cache/kept /cache/kept/file /z /z/link /z/link2" {
		t.Errorf("the pack holds %s", got)
	}
	for _, name := range []string{"/z/link", "/z/link2"} {
		if got := readAll(t, p, name); got != "kept for its links" {
			t.Errorf("%s reads %q", name, got)
		}
	}
	if e, _ := p.Entry("/z/link2"); e.Type != images.HardLink || e.Link != "/z/link" {
		t.Errorf("the second link is %+v", e)
	}
}

func TestDirectoriesMayComeAgain(t *testing.T) {
	src := memSource{
		dirFile("/dev"),
		regFile("/dev/x", []byte("x")),
		dirFile("/"),
		dirFile("/dev").with(func(e *images.Entry) { e.Mode = 0o700 }),
	}
	data, info := mustWrite(t, src, Options{})
	p, err := Open(bytes.NewReader(data), info.Size)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := p.Entry("/dev"); err != nil || e.Mode != 0o700 {
		t.Errorf("the later word on /dev should count: %+v, %v", e, err)
	}
}

func TestUnsoundSources(t *testing.T) {
	file := regFile("/f", []byte("content"))
	for name, test := range map[string]struct {
		src  images.Source
		want string
	}{
		"twice":           {memSource{file, file}, "/f occurs twice"},
		"no directory":    {memSource{regFile("/a/b", nil)}, "the directory of /a/b"},
		"file as parent":  {memSource{file, regFile("/f/g", nil)}, "the directory of /f/g"},
		"link to nothing": {memSource{linkFile("/l", "/gone")}, "/l is a hard link to /gone"},
		"link to itself":  {memSource{linkFile("/l", "/l")}, "/l is a hard link to /l"},
		"link to dir":     {memSource{dirFile("/d"), linkFile("/l", "/d")}, "/l is a hard link to /d"},
		"climbs":          {memSource{regFile("/../f", nil)}, "/../f"},
		"relative":        {memSource{regFile("f", nil)}, `"f"`},
		"empty symlink":   {memSource{{Entry: images.Entry{Path: "/s", Type: images.Symlink}}}, "/s is a symbolic link to"},
		"no type":         {memSource{{Entry: images.Entry{Path: "/t"}}}, "/t has unknown type 0"},
		"shorter":         {memSource{file.with(func(e *images.Entry) { e.Size = 100 })}, "read /f: 7 of 100 bytes"},
		"own error":       {failing{}, "the disk fell off"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Write(t.Context(), io.Discard, test.src, Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

type failing struct{}

func (failing) Walk(context.Context, images.VisitFunc) error {
	return errors.New("the disk fell off")
}

func TestWriteEndsWhereItsWriterFails(t *testing.T) {
	full := errors.New("full")
	w := &limited{left: 3 << 20, err: full}
	_, err := Write(t.Context(), w, memSource{regFile("/f", noise(1, 20<<20))}, Options{})
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

func TestWriteIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	opt := Options{Progress: func(int64) { cancel() }}
	_, err := Write(ctx, io.Discard, memSource{regFile("/f", noise(1, 30<<20))}, opt)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// limited accepts a number of bytes and then fails.
type limited struct {
	left int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return 0, l.err
	}
	l.left -= len(p)
	return len(p), nil
}
