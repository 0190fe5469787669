//go:build linux

package pack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// counting counts the bytes of a pack that are fetched.
type counting struct {
	Ranger
	fetched int64
}

func (c *counting) Range(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	c.fetched += n
	return c.Ranger.Range(ctx, off, n)
}

// TestExtractFromStore takes what an earlier install has, wherever it is there, and fetches
// what it has not, and what has changed there since.
func TestExtractFromStore(t *testing.T) {
	needRoot(t)
	large := noise(7, 5*FrameSize+100)
	old := memSource{dirFile("/"), dirFile("/usr"), regFile("/usr/large", large), regFile("/usr/small", []byte("small")), regFile("/usr/gone", noise(8, 2*FrameSize)), regFile("/zeros", make([]byte, 3*FrameSize))}
	changed := bytes.Clone(large)
	changed[2*FrameSize+5] ^= 1
	next := memSource{dirFile("/"), dirFile("/opt"), regFile("/opt/moved", large), regFile("/opt/changed", changed), regFile("/opt/new", noise(9, FrameSize)), regFile("/zeros", make([]byte, 3*FrameSize))}
	disk := freshDir(t)
	data, info := mustWrite(t, old, Options{})
	oldTOC, tail, err := FetchTail(t.Context(), Local{bytes.NewReader(data)}, info.Ref)
	if err != nil {
		t.Fatal(err)
	}
	from := subDir(t, disk)
	if _, err := Extract(t.Context(), Local{bytes.NewReader(data)}, oldTOC, from, ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	kept, err := OpenTail(tail)
	if err != nil || kept.Info() != oldTOC.Info() {
		t.Fatalf("the kept table is %+v, and was %+v (%v)", kept, oldTOC.Info(), err)
	}
	packed, packedInfo := mustWrite(t, next, Options{})
	toc, err := Fetch(t.Context(), Local{bytes.NewReader(packed)}, packedInfo.Ref)
	if err != nil {
		t.Fatal(err)
	}
	extractFrom := func() (fetched int64, stats Stats) {
		t.Helper()
		store, err := OpenStore(kept, from)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		src := &counting{Ranger: Local{bytes.NewReader(packed)}}
		dir := subDir(t, disk)
		if stats, err = Extract(t.Context(), src, toc, dir, ExtractOptions{Store: store}); err != nil {
			t.Fatal(err)
		}
		sameTree(t, next, dir)
		return src.fetched, stats
	}
	fetched, stats := extractFrom()
	if most := int64(3 * FrameSize); fetched > most || stats.Copied < 9*FrameSize {
		t.Errorf("%d bytes were fetched, and %d copied", fetched, stats.Copied)
	}
	f, err := os.OpenFile(from+"/usr/large", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt([]byte{0x55, 0xaa}, FrameSize+3)
	if err := errors.Join(err, f.Close(), unix.Unlink(from+"/usr/small")); err != nil {
		t.Fatal(err)
	}
	again, stats := extractFrom()
	if again <= fetched || again > fetched+3*FrameSize || stats.Copied == 0 {
		t.Errorf("where a file has changed %d bytes were fetched, and %d before", again, fetched)
	}
}

func FuzzOpenTail(f *testing.F) {
	data, info := mustWrite(f, memSource{dirFile("/"), regFile("/file", []byte("content"))}, Options{})
	_, tail, err := FetchTail(f.Context(), Local{bytes.NewReader(data)}, info.Ref)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tail)
	f.Add(tail[1:])
	f.Fuzz(func(t *testing.T, tail []byte) {
		if toc, err := OpenTail(tail); err == nil && toc.Info().Size < int64(len(tail)) {
			t.Errorf("a pack of %d bytes has an end of %d", toc.Info().Size, len(tail))
		}
	})
}
