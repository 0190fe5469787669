package pack

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// Ranger is a source of a pack's bytes.
type Ranger interface {
	// Range returns a reader of the n bytes at off. If that reader ends early
	// without an error, the pack counts as truncated.
	Range(ctx context.Context, off, n int64) (io.ReadCloser, error)
}

// Local is a Ranger for a local pack, e.g. a file on a USB disk, or one that
// the server itself writes to a disk.
type Local struct{ R io.ReaderAt }

var (
	_ Ranger = Local{}
	_ Ranger = (*HTTP)(nil)
)

// Range implements [Ranger].
func (l Local) Range(_ context.Context, off, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.NewSectionReader(l.R, off, n)), nil
}

// Fetch reads the table of contents of a remote pack and checks that it belongs
// to the pack want. Before this check nothing in the table can be trusted.
func Fetch(ctx context.Context, src Ranger, want Ref) (*TOC, error) {
	toc, _, err := FetchTail(ctx, src, want)
	return toc, err
}

// FetchTail is [Fetch], and also returns the end of the pack: its packed table of
// contents and its footer. [OpenTail] reads the table from it again.
func FetchTail(ctx context.Context, src Ranger, want Ref) (*TOC, []byte, error) {
	if _, err := parseDigest(want.Digest); err != nil {
		return nil, nil, fmt.Errorf("fetch pack: %w", err)
	}
	toc, tail, err := fetchTail(ctx, src, want.Size)
	if err != nil {
		return nil, nil, fmt.Errorf("fetch pack %s: %w", want.Digest, err)
	}
	if toc.info.Digest != want.Digest {
		return nil, nil, fmt.Errorf("fetch pack %s: found %s instead; the pack was made again or is damaged: request the machine's plan again", want.Digest, toc.info.Digest)
	}
	return toc, tail, nil
}

// OpenTail reads a table of contents from what [FetchTail] returned.
func OpenTail(tail []byte) (*TOC, error) {
	f, err := tailFooter(tail)
	if err != nil {
		return nil, fmt.Errorf("read a kept table of contents: %w", err)
	}
	return decodeTOC(tail[:f.packed], f)
}

func tailFooter(tail []byte) (footer, error) {
	if len(tail) < footerFrame {
		return footer{}, errNotPack
	}
	length := int64(len(tail) - footerFrame)
	off := binary.LittleEndian.Uint64(tail[length+skipHeader:])
	if off > 1<<62 {
		return footer{}, errNotPack
	}
	return parseFooter(tail[length:], int64(off)+length+footerFrame)
}

func fetchTOC(ctx context.Context, src Ranger, size int64) (*TOC, error) {
	toc, _, err := fetchTail(ctx, src, size)
	return toc, err
}

func fetchTail(ctx context.Context, src Ranger, size int64) (toc *TOC, tail []byte, err error) {
	if size < footerFrame {
		return nil, nil, errNotPack
	}
	end, err := fetchRange(ctx, src, nil, size-footerFrame, footerFrame)
	if err != nil {
		return nil, nil, fmt.Errorf("footer: %w", err)
	}
	f, err := parseFooter(end, size)
	if err != nil {
		return nil, nil, err
	}
	packed, err := fetchRange(ctx, src, nil, f.off, f.packed)
	if err != nil {
		return nil, nil, fmt.Errorf("table of contents: %w", err)
	}
	toc, err = decodeTOC(packed, f)
	return toc, append(packed, end...), err
}

// fetchRange reads n bytes at off into buf, or into a larger buffer.
func fetchRange(ctx context.Context, src Ranger, buf []byte, off, n int64) ([]byte, error) {
	r, err := src.Range(ctx, off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readN(r, buf, off, n)
}

// readN reads n bytes. off is their offset in the pack, for errors. Memory
// grows with what arrives, and not with what was promised.
func readN(r io.Reader, buf []byte, off, n int64) ([]byte, error) {
	const step = 8 << 20
	buf = buf[:0]
	for have := int64(0); have < n; {
		more := int(min(n-have, step))
		buf = append(buf, make([]byte, more)...)
		got, err := io.ReadFull(r, buf[have:])
		have += int64(got)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, cutShort(off + have)
		}
		if err != nil {
			return nil, err
		}
	}
	return buf, nil
}

func cutShort(off int64) error {
	return fmt.Errorf("the pack is truncated at byte %d: %w", off, io.ErrUnexpectedEOF)
}
