//go:build linux

package device

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"cloudlets/images/disk/sparse"
)

// piece is a part of a disk; nil is a hole.
type piece struct {
	from, to int64
	content  []byte
}

// pieces cut a disk at random.
func pieces(random *rand.Rand, size int64) (list []piece) {
	for pos := int64(0); pos < size; {
		p := piece{from: pos, to: min(pos+1+random.Int64N(1<<(4+random.IntN(18))), size)}
		if random.IntN(2) == 0 {
			p.content = bytes.Repeat([]byte{byte(1 + random.IntN(250))}, int(p.to-p.from))
		}
		list, pos = append(list, p), p.to
	}
	return list
}

// contentOf writes pieces.
func contentOf(list []piece) func(context.Context, sparse.Writer) error {
	return func(_ context.Context, w sparse.Writer) error {
		for _, p := range list {
			if p.content == nil {
				if err := w.Skip(p.to - p.from); err != nil {
					return err
				}
			} else if _, err := w.Write(p.content); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestStreamEnds: a disk that is longer or shorter than the device is an error.
func TestStreamEnds(t *testing.T) {
	const size = 3 * chunkSize
	for says, write := range map[string]func(w sparse.Writer) error{
		"ends at byte 3":         func(w sparse.Writer) error { return w.Skip(3) },
		"larger than the device": func(w sparse.Writer) error { _, err := w.Write(make([]byte, size+1)); return err },
		"skip 3145729 bytes":     func(w sparse.Writer) error { return w.Skip(size + 1) },
		"skip -1 bytes":          func(w sparse.Writer) error { return w.Skip(-1) },
		"skip 1 bytes at byte ":  func(w sparse.Writer) error { return errors.Join(w.Skip(size), w.Skip(1)) },
	} {
		j := &journal{dev: make(slab, size), options: Options{Progress: func(Stage, int64, int64) {}}}
		j.layout.Size = size
		_, err := j.fill(t.Context(), Content{Write: func(_ context.Context, w sparse.Writer) error { return write(w) }})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

// TestRuns: short holes are bridged, long ones are left out, and nothing
// reaches beyond the end of the device.
func TestRuns(t *testing.T) {
	var s pageSet
	for _, page := range []int{0, 5, 5 + bridge + 1, 100, 255} {
		s.add(page)
	}
	got := s.runs(chunkSize - 512)
	want := []run{{0, (5 + bridge + 2) * pageSize}, {100 * pageSize, 101 * pageSize}, {255 * pageSize, chunkSize - 512}}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %v, want %v", got, want)
	}
}

// slab is a device in memory that was full of ones.
type slab []byte

func (s slab) ReadAt(p []byte, off int64) (int, error)  { return copy(p, s[off:]), nil }
func (s slab) WriteAt(p []byte, off int64) (int, error) { return copy(s[off:], p), nil }
func (s slab) Sync() error                              { return nil }

// TestStream writes and skips at random, and looks that every byte that was
// written is in its place, and that holes keep old bytes or become zero.
func TestStream(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		size := 3*chunkSize + random.Int64N(4*chunkSize)/512*512
		dev := slab(bytes.Repeat([]byte{0xff}, int(size)))
		list := pieces(random, size)
		j := &journal{dev: dev, options: Options{Progress: func(Stage, int64, int64) {}}}
		j.layout.Size = size
		s, err := j.fill(t.Context(), Content{Write: contentOf(list)})
		if err != nil {
			t.Fatal(err)
		}
		if err := j.finish(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			got := dev[p.from:p.to]
			if p.content != nil && !bytes.Equal(got, p.content) || p.content == nil && len(bytes.Trim(got, "\x00\xff")) > 0 {
				t.Fatalf("the bytes from %d to %d of %d are not what they should be (hole: %v)", p.from, p.to, size, p.content == nil)
			}
		}
		if err := j.settle(t.Context(), 0, 0); err != nil {
			t.Error(err)
		}
		dev[j.records[0].index*chunkSize+int64(j.records[0].used.runs(chunkSize)[0].from)] ^= 1
		if err := j.settle(t.Context(), 0, 0); err == nil {
			t.Error("a bit was changed, and not found")
		}
	}
}
