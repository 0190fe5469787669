package tarball

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"cloudlets/images/bytesize"
)

// atPadding says whether nothing but zeros is left of r, which it then reads. If
// the next byte is not zero, it reads nothing. Zeros with something after them
// are an error, because no tool writes that.
func atPadding(r *bufio.Reader) (bool, error) {
	for n := 0; n <= maxTrailer; {
		next, err := r.Peek(1)
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		next, _ = r.Peek(r.Buffered())
		zeros := len(next) - len(bytes.TrimLeft(next, "\x00"))
		switch {
		case zeros == 0 && n == 0:
			return false, nil
		case zeros == 0:
			return false, errors.New("other data follow the zeros after its end: it is damaged, or two files were joined")
		}
		_, _ = r.Discard(zeros) // they are in the buffer
		n += zeros
	}
	return false, fmt.Errorf("more than %s of zeros follow its end", bytesize.Exact(maxTrailer))
}

// gzipMembers unpacks the members of a gzip stream one after the other (RFC
// 1952, section 2.2).
type gzipMembers struct {
	gzip *gzip.Reader
	r    *bufio.Reader
}

func newGzipMembers(r *bufio.Reader) (*gzipMembers, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	return &gzipMembers{z, r}, nil
}

// Read implements [io.Reader].
func (g *gzipMembers) Read(p []byte) (int, error) {
	n, err := g.gzip.Read(p)
	if errors.Is(err, io.EOF) {
		err = g.next()
	}
	return n, err
}

// next goes on to the next member, or returns [io.EOF].
func (g *gzipMembers) next() error {
	end, err := atPadding(g.r)
	switch {
	case err != nil:
		return err
	case end:
		return io.EOF
	}
	if err := g.gzip.Reset(g.r); err != nil {
		return err
	}
	g.gzip.Multistream(false)
	return nil
}

// newZstd unpacks zstd. The caller closes it.
func newZstd(r *bufio.Reader) (io.ReadCloser, error) {
	d, err := zstd.NewReader(&zstdFrames{r: r}, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderConcurrency(2))
	if err != nil {
		return nil, err
	}
	unpack := d.IOReadCloser()
	return &decompressed{&explained{unpack, explainZstd}, unpack}, nil
}

// zstdFrames passes zstd frames on as they are, and ends where only zeros follow
// a frame (RFC 8878, section 3.1).
type zstdFrames struct {
	r *bufio.Reader
	// left counts the bytes of the current piece that are to be passed on: a
	// frame's header, a block with its header, a checksum.
	left     int64
	inFrame  bool
	checksum bool // one follows the frame's last block
}

// Read implements [io.Reader].
func (f *zstdFrames) Read(p []byte) (int, error) {
	if f.left == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, err
}

// next finds the length of the next piece. What is not zstd is passed on to
// the decoder, which knows what to say of it.
func (f *zstdFrames) next() error {
	if f.inFrame {
		return f.block()
	}
	end, err := atPadding(f.r)
	if err != nil {
		return err
	}
	if end {
		return io.EOF
	}
	head, err := f.r.Peek(8)
	switch {
	case len(head) < 8:
		f.left = int64(max(len(head), 1))
	case isSkippable(head):
		f.left = 8 + int64(binary.LittleEndian.Uint32(head[4:]))
	default:
		f.header(head[4])
	}
	if errors.Is(err, io.EOF) {
		err = nil // the decoder finds it too short
	}
	return err
}

// header begins a frame whose header has this descriptor.
func (f *zstdFrames) header(descriptor byte) {
	dictionary := [...]int64{0, 1, 2, 4}[descriptor&3]
	single := descriptor&0x20 != 0
	contentSize := [...]int64{0, 2, 4, 8}[descriptor>>6]
	if single && contentSize == 0 {
		contentSize = 1
	}
	f.left = 4 + 1 + dictionary + contentSize
	if !single {
		f.left++ // the window's size
	}
	f.inFrame, f.checksum = true, descriptor&4 != 0
}

// block begins a block of a frame.
func (f *zstdFrames) block() error {
	head, err := f.r.Peek(3)
	if len(head) < 3 {
		f.left = int64(max(len(head), 1))
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return err
	}
	bits := int64(head[0]) | int64(head[1])<<8 | int64(head[2])<<16
	f.left = 3 + bits>>3
	if bits>>1&3 == 1 { // one byte that repeats
		f.left = 3 + 1
	}
	if bits&1 == 1 {
		f.inFrame = false
		if f.checksum {
			f.left += 4
		}
	}
	return nil
}

// bzip2Streams unpacks bzip2, of which several streams may follow one another.
type bzip2Streams struct {
	bzip2 io.Reader
	in    *pairReader
	end   error // of all, once it was met
}

func newBzip2(r *bufio.Reader) *bzip2Streams {
	in := &pairReader{Reader: r}
	return &bzip2Streams{bzip2: bzip2.NewReader(in), in: in}
}

// notAStream is the library's error for what follows a stream without being
// one. It has read two bytes of it by then.
const notAStream = bzip2.StructuralError("bad magic value in continuation file")

// Read implements [io.Reader].
func (b *bzip2Streams) Read(p []byte) (int, error) {
	if b.end != nil {
		return 0, b.end
	}
	n, err := b.bzip2.Read(p)
	if errors.Is(err, notAStream) && b.in.last == [2]byte{} {
		err = b.padding()
	}
	b.end = err
	return n, err
}

// padding reads the rest of the zeros of which two were read.
func (b *bzip2Streams) padding() error {
	end, err := atPadding(b.in.Reader)
	switch {
	case err != nil:
		return err
	case end:
		return io.EOF
	}
	return notAStream
}

// pairReader remembers the last two bytes that were read one by one.
type pairReader struct {
	*bufio.Reader
	last [2]byte
}

// ReadByte implements [io.ByteReader].
func (r *pairReader) ReadByte() (byte, error) {
	b, err := r.Reader.ReadByte()
	if err == nil {
		r.last = [2]byte{r.last[1], b}
	}
	return b, err
}
