package tarball

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"cloudlets/images/bounded"
	"cloudlets/images/fingerprint"
)

// Sizes of what tarballs are read by, in bytes.
const (
	tarBlock  = 512
	tarAhead  = 64 << 10 // to read a whole archive
	tarGlance = 2 << 10  // to read one header
)

// tarInput is an archive's plain bytes, whatever the tarball is compressed
// with. It knows where in them its reader is, and skips: where the archive is
// in a file as it is, that costs nothing.
type tarInput struct {
	buf    *bufio.Reader
	source io.Reader         // what buf reads
	file   *io.SectionReader // the same, where it can be read at random
	unpack io.Closer         // what unpacks the source, if anything
	own    *os.File          // the file to close, if any
	state  string            // of that file, see fileState

	off   int64 // of the next byte
	start int64 // of the first whole block that was read since mark
	zeros int   // how many blocks of zeros were read last
}

// streamInput reads a tarball, compressed or not, to its end.
func streamInput(ctx context.Context, r io.Reader, max int64) (*tarInput, error) {
	plain, err := decompress(bounded.ByContext(ctx, r))
	if err != nil {
		return nil, err
	}
	in := &tarInput{source: bounded.BySize(plain, max), unpack: plain}
	in.buf = bufio.NewReaderSize(in.source, tarAhead)
	return in, nil
}

// fileInput reads the tarball in a file, compressed or not. The input closes
// the file, but not where this fails.
func fileInput(ctx context.Context, f *os.File, max int64) (*tarInput, error) {
	state, size, err := fingerprint.File(f)
	if err != nil {
		return nil, err
	}
	head := make([]byte, magicLen)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var in *tarInput
	switch {
	case n == 0 || compressionOf(head[:n]) != "":
		in, err = streamInput(ctx, f, max)
	case size > max:
		err = bounded.TooLarge(max)
	default:
		in, err = plainInput(f, 0, size, tarAhead), nil
	}
	if err != nil {
		return nil, err
	}
	in.own, in.state = f, state
	return in, nil
}

// plainInput reads an archive of size bytes that is in a file as it is, from
// an offset on.
func plainInput(f io.ReaderAt, from, size int64, ahead int) *tarInput {
	file := io.NewSectionReader(f, from, size-from)
	return &tarInput{source: file, file: file, buf: bufio.NewReaderSize(file, ahead)}
}

// copyTo has all that is read written to w as well. It must be called before
// anything is read.
func (in *tarInput) copyTo(w io.Writer) {
	in.buf.Reset(io.TeeReader(in.source, w))
}

// mark begins a header: the next block that is read is its first.
func (in *tarInput) mark() { in.start, in.zeros = -1, 0 }

// Read reads on. The tar reader asks for whole blocks where a header may
// stand, and after mark for nothing else in one piece before it.
func (in *tarInput) Read(p []byte) (int, error) {
	if len(p) == tarBlock {
		return in.block(p)
	}
	n, err := in.buf.Read(p)
	in.off += int64(n)
	in.zeros = 0
	return n, err
}

func (in *tarInput) block(p []byte) (int, error) {
	if in.start < 0 {
		in.start = in.off
	}
	n, err := io.ReadFull(in.buf, p)
	in.off += int64(n)
	switch {
	case n < tarBlock:
	case [tarBlock]byte(p) == [tarBlock]byte{}:
		in.zeros++
	default:
		in.zeros = 0
	}
	return n, err
}

// Seek skips; it never goes back.
func (in *tarInput) Seek(offset int64, whence int) (int64, error) {
	skip := offset
	if whence == io.SeekStart {
		skip -= in.off
	}
	if whence == io.SeekEnd || skip < 0 {
		return in.off, fmt.Errorf("seek in a tarball: %w", errors.ErrUnsupported)
	}
	if in.file != nil && skip > int64(in.buf.Buffered()) {
		return in.jump(skip)
	}
	for skip > 0 {
		n, err := in.buf.Discard(int(min(skip, 1<<30)))
		in.off += int64(n)
		skip -= int64(n)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return in.off, err
		}
	}
	return in.off, nil
}

// jump skips more than is in the buffer of a file.
func (in *tarInput) jump(skip int64) (int64, error) {
	if skip > in.file.Size()-in.off {
		return in.off, io.ErrUnexpectedEOF
	}
	to, err := in.file.Seek(in.off+skip, io.SeekStart)
	in.off = to
	in.buf.Reset(in.file)
	return to, err
}

// Close lets go of the input, and of its file.
func (in *tarInput) Close() error {
	var err error
	if in.unpack != nil {
		err = in.unpack.Close()
	}
	if in.own != nil {
		err = errors.Join(err, in.own.Close())
	}
	return err
}
