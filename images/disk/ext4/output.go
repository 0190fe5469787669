package ext4

import (
	"context"
	"fmt"
	"io"

	"cloudlets/images/bounded"
	"cloudlets/images/disk/sparse"
)

// output writes a filesystem in whole blocks, from its beginning to its end. It
// gathers small pieces into large writes.
type output struct {
	ctx   context.Context
	w     sparse.Writer
	buf   []byte
	at    int64 // the next block
	stale bool
}

const (
	outputBuffer = 512 << 10
	// wipeBlocks at the beginning of a device with old content are never skipped,
	// because other filesystems have their signatures there.
	wipeBlocks = 256
)

func newOutput(ctx context.Context, w sparse.Writer, stale bool) *output {
	if !stale {
		w = sparse.Detect(w)
	}
	return &output{ctx: ctx, w: w, buf: make([]byte, 0, outputBuffer), stale: stale}
}

// blocks writes whole blocks. It does not copy many blocks at once.
func (o *output) blocks(b []byte) error {
	if len(b) > outputBuffer {
		if err := o.flush(); err != nil {
			return err
		}
		o.at += int64(len(b) / blockSize)
		return o.put(b)
	}
	for len(b) > 0 {
		n := copy(o.room(), b)
		if err := o.filled(n); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// room returns the buffer for the next bytes. The caller then passes to filled how
// many it has put there.
func (o *output) room() []byte { return o.buf[len(o.buf):cap(o.buf)] }

func (o *output) filled(n int) error {
	before := len(o.buf)
	o.buf = o.buf[:before+n]
	o.at += int64((before+n)/blockSize - before/blockSize)
	if len(o.buf) == cap(o.buf) {
		return o.flush()
	}
	return nil
}

// read writes size bytes from r, and pads the last block with zeros.
func (o *output) read(r io.Reader, size int64) error {
	for size > 0 {
		room := o.room()
		part := room[:min(int64(len(room)), size)]
		if _, err := io.ReadFull(r, part); err != nil {
			return bounded.NoEOF(err)
		}
		size -= int64(len(part))
		padded := (len(part) + blockSize - 1) &^ (blockSize - 1)
		clear(room[len(part):padded])
		if err := o.filled(padded); err != nil {
			return err
		}
	}
	return nil
}

// zeros adds blocks that must read as zeros.
func (o *output) zeros(count int64) error {
	if !o.stale {
		return o.skip(count)
	}
	for count > 0 {
		room := o.room()
		n := min(int64(len(room)/blockSize), count)
		clear(room[:n*blockSize])
		if err := o.filled(int(n * blockSize)); err != nil {
			return err
		}
		count -= n
	}
	return nil
}

// skip passes over blocks that are never read.
func (o *output) skip(count int64) error {
	if o.stale && o.at < wipeBlocks {
		n := min(count, wipeBlocks-o.at)
		if err := o.zeros(n); err != nil {
			return err
		}
		count -= n
	}
	if count == 0 {
		return nil
	}
	if err := o.flush(); err != nil {
		return err
	}
	if err := o.w.Skip(count * blockSize); err != nil {
		return fmt.Errorf("skip %d bytes at byte %d: %w", count*blockSize, o.at*blockSize, err)
	}
	o.at += count
	return nil
}

func (o *output) flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	b := o.buf
	o.buf = o.buf[:0]
	return o.put(b)
}

// put writes bytes that end at the current block.
func (o *output) put(b []byte) error {
	if err := o.ctx.Err(); err != nil {
		return err
	}
	if _, err := o.w.Write(b); err != nil {
		return fmt.Errorf("write before byte %d: %w", o.at*blockSize, err)
	}
	return nil
}
