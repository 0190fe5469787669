// Package netroot is the root of a live machine that is there before it was fetched: a disk
// whose bytes come from the server when somebody reads them. Each chunk is checked by its
// digest and kept in memory. Once the system has what it needs to start, the rest is read
// ahead. After that the server may go away.
//
// [Start] starts a process of its own for that, which outlives the RAM disk that it came
// from. It runs [Serve] with a [Cache], which has the bytes.
package netroot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/chunks"
	"cloudlets/images/pack"
	"cloudlets/images/pause"
)

// Cache is a file of a server, in memory as far as it was fetched. It is a source of
// provision/nbd.
type Cache struct {
	list   chunks.List
	from   pack.Ranger
	mend   func(error)
	pauses Pauses

	memory []byte // of the file's length; pages are taken as they are written
	here   []atomic.Bool
	left   atomic.Int64 // chunks that are not here
	got    atomic.Int64 // bytes that are here
	asked  atomic.Int64 // when the latest chunk was asked for that was not here, in Unix nanoseconds
	turns  chan struct{}
	// buffers has what chunks are checked in, before they come to the memory.
	buffers sync.Pool
	clock   func() time.Time

	mu      sync.Mutex
	flights map[int]*flight // by the first of their chunks
}

// flight is a chunk on its way.
type flight struct{ landed chan struct{} }

// Pauses say how a cache waits. A zero field has its default.
type Pauses struct {
	// Retry is the pause after a chunk could not be fetched, one second by default. It is
	// fetched again for as long as it takes: whoever reads it has nothing else.
	Retry time.Duration
	// Quiet is for how long nobody must have asked for anything new, 10 seconds by default,
	// before the rest is read ahead. Patience, 3 minutes by default, is after how long that
	// begins in any case.
	Quiet, Patience time.Duration
}

func (p Pauses) withDefaults() Pauses {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&p.Retry, time.Second)
	set(&p.Quiet, 10*time.Second)
	set(&p.Patience, 3*time.Minute)
	return p
}

// streams is how many chunks are fetched at once because somebody waits for them. The rest
// is read ahead by one stream, of stride chunks at a time.
const (
	streams = 8
	stride  = 16
)

// NewCache returns an empty cache of the file that a list is of. It must be closed. mend is
// called after a chunk could not be fetched, with the reason, before it is fetched again. A
// damaged chunk is a [chunks.ErrDamaged].
func NewCache(list chunks.List, from pack.Ranger, mend func(error), pauses Pauses) (*Cache, error) {
	c := &Cache{
		list: list, from: from, mend: mend, pauses: pauses.withDefaults(), clock: time.Now,
		here: make([]atomic.Bool, list.Count()), turns: make(chan struct{}, streams), flights: map[int]*flight{},
	}
	c.buffers.New = func() any { return new([chunks.Size]byte) }
	c.left.Store(int64(list.Count()))
	if list.Length() == 0 {
		return c, nil
	}
	// It is no memory of Go's: that would be kept twice while it is collected.
	var err error
	if c.memory, err = unix.Mmap(-1, 0, int(list.Length()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE); err != nil {
		return nil, fmt.Errorf("reserve %d bytes of memory for the root: %w", list.Length(), err)
	}
	return c, nil
}

// Close gives the memory back. Nobody may use the cache, or what Bytes returned, after that.
func (c *Cache) Close() error {
	if c.memory == nil {
		return nil
	}
	memory := c.memory
	c.memory = nil
	return unix.Munmap(memory)
}

// Fetched returns how many bytes are here.
func (c *Cache) Fetched() int64 { return c.got.Load() }

// Length returns how many there are.
func (c *Cache) Length() int64 { return c.list.Length() }

// Bytes returns n bytes from offset on, once they are here. The error is that of ctx, or
// says that the file has no such bytes.
func (c *Cache) Bytes(ctx context.Context, offset int64, n int) ([]byte, error) {
	end := offset + int64(n)
	if offset < 0 || n < 0 || end > c.list.Length() {
		return nil, fmt.Errorf("read %d bytes at %d of a root of %d", n, offset, c.list.Length())
	}
	for i := offset / chunks.Size; i*chunks.Size < end; i++ {
		if err := c.need(ctx, int(i)); err != nil {
			return nil, err
		}
	}
	return c.memory[offset:end:end], nil
}

// need returns when a chunk is here. Somebody waits for it, so it is fetched before what is
// read ahead. If the one before it is here, its file is being read in order, and the next one
// comes with it by the same request.
func (c *Cache) need(ctx context.Context, i int) error {
	for !c.here[i].Load() {
		c.asked.Store(c.clock().UnixNano())
		mine, f := c.board(i)
		if !mine {
			select {
			case <-f.landed:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		select {
		case c.turns <- struct{}{}:
		case <-ctx.Done():
			c.land(i, f)
			return ctx.Err()
		}
		err := c.fetchWithNext(ctx, i)
		<-c.turns
		c.land(i, f)
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Cache) fetchWithNext(ctx context.Context, i int) error {
	next := i + 1
	if i == 0 || !c.here[i-1].Load() || next == len(c.here) {
		return c.fetchUntilHere(ctx, i, next)
	}
	mine, f := c.board(next)
	if !mine {
		return c.fetchUntilHere(ctx, i, next)
	}
	defer c.land(next, f)
	if c.here[next].Load() {
		return c.fetchUntilHere(ctx, i, next)
	}
	return c.fetchUntilHere(ctx, i, next+1)
}

// board returns the flight of a chunk, and whether the caller has to fetch it.
func (c *Cache) board(i int) (mine bool, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[i]; f != nil {
		return false, f
	}
	f = &flight{make(chan struct{})}
	c.flights[i] = f
	return true, f
}

func (c *Cache) land(i int, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, i)
	close(f.landed)
}

// fetchUntilHere fetches the chunks from first up to end, again and again until all are
// here, or ctx ends.
func (c *Cache) fetchUntilHere(ctx context.Context, first, end int) error {
	for {
		for first < end && c.here[first].Load() {
			first++
		}
		if first == end {
			return nil
		}
		err := c.fetch(ctx, first, end)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			continue
		}
		c.mend(err)
		if err := pause.For(ctx, c.pauses.Retry); err != nil {
			return err
		}
	}
}

// fetch fetches the chunks from first up to end by one request.
func (c *Cache) fetch(ctx context.Context, first, end int) error {
	offset, _ := c.list.Place(first)
	last, n := c.list.Place(end - 1)
	body, err := c.from.Range(ctx, offset, last+n-offset)
	if err != nil {
		return err
	}
	whole := c.buffers.Get().(*[chunks.Size]byte)
	defer c.buffers.Put(whole)
	buffer := whole[:]
	for i := first; i < end && err == nil; i++ {
		offset, n := c.list.Place(i)
		if _, err = io.ReadFull(body, buffer[:n]); err != nil {
			break
		}
		if err = c.list.Check(i, buffer[:n]); err == nil {
			c.keep(i, offset, buffer[:n])
		}
	}
	return errors.Join(err, body.Close())
}

// keep stores a chunk, unless it is here: somebody may be reading it.
func (c *Cache) keep(i int, offset int64, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here[i].Load() {
		return
	}
	copy(c.memory[offset:], data)
	c.here[i].Store(true)
	c.left.Add(-1)
	c.got.Add(int64(len(data)))
}

// ReadAhead waits until the system has started, as far as that can be told from its reads,
// calls begun, and then fetches all that is not here. It returns nil when everything is.
func (c *Cache) ReadAhead(ctx context.Context, begun func()) error {
	if err := c.waitForQuiet(ctx); err != nil {
		return err
	}
	begun()
	for i := 0; i < len(c.here); {
		if c.here[i].Load() {
			i++
			continue
		}
		end := i + 1
		for end < min(i+stride, len(c.here)) && !c.here[end].Load() {
			end++
		}
		if err := c.fetchUntilHere(ctx, i, end); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// waitForQuiet returns when nobody has asked for anything new for a while, or that has
// taken too long.
func (c *Cache) waitForQuiet(ctx context.Context) error {
	begun := c.clock()
	c.asked.CompareAndSwap(0, begun.UnixNano())
	for c.left.Load() > 0 {
		now := c.clock()
		quiet := now.Sub(time.Unix(0, c.asked.Load()))
		wait := min(c.pauses.Quiet-quiet, c.pauses.Patience-now.Sub(begun))
		if wait <= 0 {
			return nil
		}
		if err := pause.For(ctx, wait); err != nil {
			return err
		}
	}
	return nil
}
