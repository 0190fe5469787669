package pack

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"cloudlets/images"
)

// tocVersion is the version of zstd:chunked's table.
const tocVersion = 1

// encodeTOC compresses the table in memory, row by row. It returns the
// compressed table, the length of the JSON, and its digest.
func encodeTOC(t *TOC, fileDigests map[int32]digest) (packed []byte, raw int64, sum digest, err error) {
	var buf bytes.Buffer
	zw, giveBack, err := borrowEncoder(&buf, encoderKind{zstd.SpeedDefault, 1, true})
	if err != nil {
		return nil, 0, sum, fmt.Errorf("the table of contents: %w", err)
	}
	defer giveBack()
	hash := sha256.New()
	count := &counter{w: io.MultiWriter(zw, hash)}
	bw := bufio.NewWriterSize(count, min(64<<10, 1<<10+256*len(t.entries)))
	err = errors.Join(writeRows(bw, t, fileDigests), bw.Flush(), zw.Close())
	if err != nil {
		return nil, 0, sum, fmt.Errorf("write the table of contents: %w", err)
	}
	hash.Sum(sum[:0])
	return buf.Bytes(), count.n, sum, nil
}

func writeRows(w *bufio.Writer, t *TOC, fileDigests map[int32]digest) error {
	fmt.Fprintf(w, "{\"version\":%d,\"entries\":[\n", tocVersion)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	sep := ""
	for _, r := range t.rows(fileDigests) {
		w.WriteString(sep)
		if err := enc.Encode(r); err != nil {
			return err
		}
		sep = ","
	}
	_, err := w.WriteString("]}\n")
	return err
}

// rows yields the rows of the table: one for each file, and another one for
// each chunk of a file after the first.
func (t *TOC) rows(fileDigests map[int32]digest) func(func(int, *row) bool) {
	return func(yield func(int, *row) bool) {
		at := 0 // the frame of the current chunk; frames have the order of chunks
		for i := range t.entries {
			e := &t.entries[i]
			r := entryRow(e.Entry)
			if d, ok := fileDigests[int32(i)]; ok {
				r.Digest = d.String()
			} else if e.Type == images.Regular {
				r.Digest = t.wholeDigest(e)
			}
			for j := range t.chunksOf(e) {
				for int(e.first)+j >= int(t.frames[at].first+t.frames[at].count) {
					at++
				}
				if j > 0 {
					if !yield(i, &r) {
						return
					}
					r = row{Name: r.Name, Type: rowChunk}
				}
				t.fillChunk(&r, e, j, t.frames[at])
			}
			if !yield(i, &r) {
				return
			}
		}
	}
}

// wholeDigest returns the digest of a file with at most one chunk.
func (t *TOC) wholeDigest(e *entry) string {
	if e.count == 0 {
		return digest(sha256.Sum256(nil)).String()
	}
	return t.chunks[e.first].digest.String()
}

func (t *TOC) fillChunk(r *row, e *entry, j int, f frame) {
	c := t.chunksOf(e)[j]
	r.Offset, r.EndOffset, r.InnerOffset = f.off, f.end, int64(c.inner)
	r.ChunkOffset, r.ChunkDigest = c.off, c.digest.String()
	if e.count > 1 {
		r.ChunkSize = int64(c.size)
	}
}

// decodeTOC parses the compressed table. It keeps only the checked table in
// memory and never the whole text. The frames must end where the table's frame
// begins.
func decodeTOC(packed []byte, f footer) (*TOC, error) {
	zr, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxWindow(maxTOCWindow), zstd.WithDecoderMaxMemory(maxTOC))
	if err != nil {
		return nil, fmt.Errorf("decompress the table of contents: %w", err)
	}
	defer zr.Close()
	hash := sha256.New()
	limited := &io.LimitedReader{R: zr, N: f.raw + 1}
	t := &TOC{end: f.off - skipHeader, byPath: make(map[string]int32)}
	r := io.TeeReader(limited, hash)
	if err := readTable(r, t); err != nil {
		return nil, fmt.Errorf("read the table of contents: %w", err)
	}
	if n := f.raw + 1 - limited.N; n != f.raw {
		return nil, fmt.Errorf("the table of contents has %d bytes, its footer says %d", n, f.raw)
	}
	t.info.Digest = digest(hash.Sum(nil)).String()
	t.info.Size = f.off + f.packed + footerFrame
	return t, t.finish()
}

// readTable parses the outer object of the table and reads r to its end.
func readTable(r io.Reader, t *TOC) error {
	dec := json.NewDecoder(r)
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if key == "entries" {
			err = readRows(dec, t)
		} else {
			err = dec.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	if err := expect(dec, json.Delim('}')); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows the table (%v)", err)
	}
	return nil
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("found %v where %v should be", got, want)
	}
	return nil
}

func readRows(dec *json.Decoder, t *TOC) error {
	if err := expect(dec, '['); err != nil {
		return err
	}
	for n := 0; dec.More(); n++ {
		var r row
		if err := dec.Decode(&r); err != nil {
			return fmt.Errorf("row %d: %w", n, err)
		}
		if err := t.addRow(&r); err != nil {
			return fmt.Errorf("row %d, %q: %w", n, r.Name, err)
		}
	}
	if err := t.closeEntry(); err != nil {
		return err
	}
	return expect(dec, ']')
}

func (t *TOC) addRow(r *row) error {
	if r.Type == rowChunk {
		if len(t.entries) == 0 || t.entries[len(t.entries)-1].Type != images.Regular {
			return errors.New("a chunk without a file before it")
		}
		return t.addRowChunk(r)
	}
	if err := t.closeEntry(); err != nil {
		return err
	}
	e, err := r.entry()
	if err != nil {
		return err
	}
	if err := t.addEntry(e); err != nil {
		return err
	}
	if e.Size == 0 {
		return nil
	}
	return t.addRowChunk(r)
}

func (t *TOC) addRowChunk(r *row) error {
	size := r.ChunkSize
	if size == 0 {
		size = t.entries[len(t.entries)-1].Size - r.ChunkOffset
	}
	if !fits32(size) || !fits32(r.InnerOffset) {
		return fmt.Errorf("chunk of %d bytes at %d of its frame is out of bounds", size, r.InnerOffset)
	}
	d, err := parseDigest(r.ChunkDigest)
	if err != nil {
		return err
	}
	c := chunk{digest: d, off: r.ChunkOffset, inner: int32(r.InnerOffset), size: int32(size)}
	return t.addChunk(c, r.Offset, r.EndOffset)
}

// counter counts the bytes that are written through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
