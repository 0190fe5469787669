package tarball

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"cloudlets/images/bounded"
	"cloudlets/images/fingerprint"
)

// Sizes of blocks and of buffers for reading, in bytes.
const (
	blockSize  = 512
	aheadSize  = 64 << 10 // to read a whole archive
	nearSize   = 16 << 10 // to read files in another order than the archive's
	glanceSize = 2 << 10  // to read one header
)

// input is an archive's uncompressed bytes. It knows the offset of its reader,
// and can skip. If the archive is in an uncompressed file, skipping costs
// nothing.
type input struct {
	buf    *bufio.Reader
	source io.Reader         // what buf reads
	file   *io.SectionReader // the same if it can be read at random, else nil
	unpack io.Closer         // what unpacks the source, if anything
	own    *os.File          // the file to close, if any
	state  string            // of that file, see [fingerprint.File]

	off   int64 // of the next byte
	start int64 // of the first whole block that was read since mark
	zeros int   // how many blocks of zeros were read last
	// afterZero is the block that followed a lone block of zeros since mark.
	afterZero []byte
}

// streamInput reads a tarball from a stream, compressed or not.
func streamInput(ctx context.Context, r io.Reader, max int64) (*input, error) {
	plain, err := decompress(bounded.ByContext(ctx, r))
	if err != nil {
		return nil, err
	}
	in := &input{source: bounded.BySize(plain, max), unpack: plain}
	in.buf = bufio.NewReaderSize(in.source, aheadSize)
	return in, nil
}

// fileInput reads the tarball in a file, compressed or not. Closing the input
// closes the file; if fileInput fails, the caller closes it.
func fileInput(ctx context.Context, f *os.File, max int64) (*input, error) {
	state, size, err := fingerprint.File(f)
	if err != nil {
		return nil, err
	}
	compression, err := recognise(func(n int) ([]byte, error) {
		head := make([]byte, n)
		n, err := f.ReadAt(head, 0)
		return head[:n], err
	})
	if err != nil {
		return nil, err
	}
	var in *input
	switch {
	case compression != "":
		in, err = streamInput(ctx, f, max)
	case size > max:
		err = bounded.TooLarge(max)
	default:
		in, err = plainInput(f, 0, size, aheadSize), nil
	}
	if err != nil {
		return nil, err
	}
	in.own, in.state = f, state
	return in, nil
}

// plainInput reads an uncompressed archive of size bytes from an offset on, with
// a buffer of ahead bytes.
func plainInput(f io.ReaderAt, from, size int64, ahead int) *input {
	file := io.NewSectionReader(f, from, size-from)
	return &input{source: file, file: file, buf: bufio.NewReaderSize(file, ahead)}
}

// copyTo copies to w all that is read. It must be called before anything is
// read.
func (in *input) copyTo(w io.Writer) {
	in.buf.Reset(io.TeeReader(in.source, w))
}

// mark is called before a header is read: the next block read is its first.
func (in *input) mark() { in.start, in.zeros, in.afterZero = -1, 0, nil }

// Read implements [io.Reader]. The tar reader asks for exactly one block when
// it expects a header, so the first such read after mark is a header's.
func (in *input) Read(p []byte) (int, error) {
	if len(p) == blockSize {
		return in.block(p)
	}
	n, err := in.buf.Read(p)
	in.off += int64(n)
	in.zeros = 0
	return n, err
}

func (in *input) block(p []byte) (int, error) {
	first := in.start < 0
	if first {
		in.start = in.off
	}
	n, err := io.ReadFull(in.buf, p)
	in.off += int64(n)
	switch {
	case n < blockSize:
	case [blockSize]byte(p) == [blockSize]byte{}:
		in.zeros++
	default:
		if in.zeros == 1 {
			in.afterZero = bytes.Clone(p)
		}
		in.zeros = 0
		if first {
			asStandard(p)
		}
	}
	return n, err
}

// solarisExtended is Solaris's type of an extended header. It is what the
// standard has as 'x', which is what it becomes.
const solarisExtended = 'X'

func asStandard(header []byte) {
	if typeField.of(header)[0] == solarisExtended && isHeader(header) {
		finishBlock(header, tar.TypeXHeader)
	}
}

// Seek skips forwards; going back is an error.
func (in *input) Seek(offset int64, whence int) (int64, error) {
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

// jump skips in a file beyond what is buffered.
func (in *input) jump(skip int64) (int64, error) {
	if skip > in.file.Size()-in.off {
		return in.off, io.ErrUnexpectedEOF
	}
	to, err := in.file.Seek(in.off+skip, io.SeekStart)
	in.off = to
	in.buf.Reset(in.file)
	return to, err
}

// goTo continues at any offset of a file, forwards or back.
func (in *input) goTo(off int64) error {
	if skip := off - in.off; skip >= 0 && skip <= int64(in.buf.Buffered()) {
		_, err := in.buf.Discard(int(skip))
		in.off = off
		return err
	}
	if _, err := in.file.Seek(off, io.SeekStart); err != nil {
		return err
	}
	in.off = off
	in.buf.Reset(in.file)
	return nil
}

// Close closes the input and its file.
func (in *input) Close() error {
	var err error
	if in.unpack != nil {
		err = in.unpack.Close()
	}
	if in.own != nil {
		err = errors.Join(err, in.own.Close())
	}
	return err
}
