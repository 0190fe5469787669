package netroot

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cloudlets/images/chunks"
)

// server has a root, and does with each request what a test wants.
type server struct {
	data []byte
	// each is called before a request is answered. Its bytes replace those of the root,
	// unless they are nil.
	each func(offset, n int64) ([]byte, error)

	mu    sync.Mutex
	asked []int64 // the first chunk of each request
	bytes int64
}

func (s *server) Range(_ context.Context, offset, n int64) (io.ReadCloser, error) {
	s.mu.Lock()
	s.asked = append(s.asked, offset/chunks.Size)
	s.bytes += n
	s.mu.Unlock()
	data := s.data[offset : offset+n]
	if s.each != nil {
		other, err := s.each(offset, n)
		if err != nil {
			return nil, err
		}
		if other != nil {
			data = other
		}
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func newServer(length int) *server {
	data := make([]byte, length)
	rand.NewChaCha8([32]byte{1}).Read(data)
	return &server{data: data}
}

func (s *server) cache(t testing.TB, pauses Pauses, mend func(error)) *Cache {
	t.Helper()
	var w chunks.Writer
	if _, err := w.Write(s.data); err != nil {
		t.Fatal(err)
	}
	c, err := NewCache(w.List(), s, mend, pauses)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func nothing(error) {}

// TestReads: whatever is read, by many at once, is what the server has; and a chunk is fetched
// once.
func TestReads(t *testing.T) {
	s := newServer(9*chunks.Size + 4096)
	c := s.cache(t, Pauses{}, nothing)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range 200 {
				offset := r.IntN(len(s.data))
				n := r.IntN(min(3*chunks.Size, len(s.data)-offset) + 1)
				got, err := c.Bytes(t.Context(), int64(offset), n)
				if err != nil || !bytes.Equal(got, s.data[offset:offset+n]) {
					t.Errorf("%d bytes at %d: others, %v", n, offset, err)
				}
			}
		})
	}
	all.Wait()
	if s.bytes != int64(len(s.data)) || c.Fetched() != int64(len(s.data)) {
		t.Errorf("%d bytes were fetched, and %d of %d are here", s.bytes, c.Fetched(), len(s.data))
	}
	for _, bad := range [][2]int64{{-1, 1}, {int64(len(s.data)), 1}, {0, int64(len(s.data)) + 1}, {0, -1}} {
		if _, err := c.Bytes(t.Context(), bad[0], int(bad[1])); err == nil {
			t.Errorf("%d bytes at %d are there", bad[1], bad[0])
		}
	}
}

// TestOnlyWhatIsRead: nothing is fetched that nobody asked for, but the next chunk with one
// that is read after the one before.
func TestOnlyWhatIsRead(t *testing.T) {
	s := newServer(100 * chunks.Size)
	c := s.cache(t, Pauses{}, nothing)
	for _, step := range []struct{ at, fetched int64 }{{50, 1}, {70, 2}, {51, 4}, {52, 4}, {99, 5}, {0, 6}, {98, 7}} {
		if _, err := c.Bytes(t.Context(), step.at*chunks.Size+5, 7); err != nil {
			t.Fatal(err)
		}
		if s.bytes != step.fetched*chunks.Size || c.Fetched() != s.bytes {
			t.Errorf("after chunk %d %d bytes were fetched, want %d chunks", step.at, s.bytes, step.fetched)
		}
	}
}

// TestTrouble: whoever reads waits while the server is away, or sends what is damaged or cut
// off, and the network is mended meanwhile.
func TestTrouble(t *testing.T) {
	s := newServer(4 * chunks.Size)
	var tries, mended atomic.Int64
	s.each = func(offset, n int64) ([]byte, error) {
		switch tries.Add(1) {
		case 1:
			return nil, errors.New("no route to host")
		case 2:
			return make([]byte, n), nil // another server's bytes
		case 3:
			return s.data[offset : offset+n/2], nil
		}
		return nil, nil
	}
	c := s.cache(t, Pauses{Retry: time.Millisecond}, func(error) { mended.Add(1) })
	got, err := c.Bytes(t.Context(), 5, 10)
	if err != nil || !bytes.Equal(got, s.data[5:15]) {
		t.Errorf("after all trouble: %x, %v", got, err)
	}
	if tries.Load() != 4 || mended.Load() != 3 {
		t.Errorf("it was tried %d times, and the network mended %d times", tries.Load(), mended.Load())
	}
}

// TestEnd: a reader that waits ends with its context, and another one takes the fetching
// over.
func TestEnd(t *testing.T) {
	s := newServer(chunks.Size)
	away := make(chan struct{})
	s.each = func(int64, int64) ([]byte, error) {
		select {
		case <-away:
			return nil, nil
		default:
			return nil, errors.New("away")
		}
	}
	tried := make(chan struct{}, 1)
	c := s.cache(t, Pauses{Retry: time.Millisecond}, func(error) {
		select {
		case tried <- struct{}{}:
		default:
		}
	})
	first, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Bytes(first, 0, 1)
		ended <- err
	}()
	<-tried // the first one fetches
	second := make(chan error, 1)
	go func() {
		_, err := c.Bytes(t.Context(), 0, 1)
		second <- err
	}()
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the first reader: %v", err)
	}
	close(away)
	if err := <-second; err != nil {
		t.Errorf("the second reader: %v", err)
	}
}

// TestReadAhead: it begins when nobody asks for anything new, fetches what is not here and
// nothing else, and what somebody waits for is not behind it.
func TestReadAhead(t *testing.T) {
	s := newServer(60 * chunks.Size)
	c := s.cache(t, Pauses{Quiet: time.Millisecond}, nothing)
	for _, at := range []int64{3, 5, 40} {
		if _, err := c.Bytes(t.Context(), at*chunks.Size, 1); err != nil {
			t.Fatal(err)
		}
	}
	begun := int64(0)
	var once sync.Once
	s.each = func(offset, n int64) ([]byte, error) {
		if n > chunks.Size { // a request of several chunks is one of reading ahead
			once.Do(func() {
				if _, err := c.Bytes(t.Context(), 59*chunks.Size, 1); err != nil {
					t.Error(err)
				}
			})
		}
		return nil, nil
	}
	if err := c.ReadAhead(t.Context(), func() { begun = c.Fetched() }); err != nil {
		t.Fatal(err)
	}
	if begun != 3*chunks.Size || c.Fetched() != int64(len(s.data)) || s.bytes != int64(len(s.data)) {
		t.Errorf("it began with %d bytes and ended with %d of %d, after fetching %d", begun, c.Fetched(), len(s.data), s.bytes)
	}
}

// TestReadsWhileTheRestIsReadAhead: nobody sees anything but what the server has.
func TestReadsWhileTheRestIsReadAhead(t *testing.T) {
	s := newServer(50 * chunks.Size)
	c := s.cache(t, Pauses{Quiet: time.Nanosecond}, nothing)
	var all sync.WaitGroup
	all.Go(func() {
		if err := c.ReadAhead(t.Context(), func() {}); err != nil {
			t.Error(err)
		}
	})
	for i := range 4 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			for range 100 {
				offset := r.IntN(len(s.data) - 5000)
				if got, err := c.Bytes(t.Context(), int64(offset), 5000); err != nil || !bytes.Equal(got, s.data[offset:offset+5000]) {
					t.Errorf("5000 bytes at %d: others, %v", offset, err)
				}
			}
		})
	}
	all.Wait()
	if c.Fetched() != int64(len(s.data)) {
		t.Errorf("%d of %d bytes are here", c.Fetched(), len(s.data))
	}
}

// TestReadAheadBeginsInTheEnd: a system that never stops to ask for more does not keep it
// from beginning.
func TestReadAheadBeginsInTheEnd(t *testing.T) {
	s := newServer(2 * chunks.Size)
	c := s.cache(t, Pauses{Quiet: time.Hour, Patience: time.Millisecond}, nothing)
	if err := c.ReadAhead(t.Context(), func() {}); err != nil {
		t.Fatal(err)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	other := s.cache(t, Pauses{Quiet: time.Hour}, nothing)
	if err := other.ReadAhead(ended, func() {}); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
}

func TestAnEmptyRoot(t *testing.T) {
	c := newServer(0).cache(t, Pauses{}, nothing)
	if got, err := c.Bytes(t.Context(), 0, 0); err != nil || len(got) != 0 {
		t.Errorf("%x, %v", got, err)
	}
	if err := c.ReadAhead(t.Context(), func() {}); err != nil {
		t.Error(err)
	}
}
