package vdisk

import (
	"io"
)

// plain writes a raw disk, either into a file with holes, or to a stream with zeros.
type plain struct {
	file File // nil for a stream
	out  io.Writer
	size int64
	pos  int64  // position in a stream
	tail []byte // bytes that follow the disk
}

func newRaw(t target, _ Options) (container, error) {
	p := newPlain(t, nil)
	allowHoles(p.file)
	return p, nil
}

func newPlain(t target, tail []byte) *plain {
	p := &plain{out: t.out, size: t.size, tail: tail}
	if f, ok := asFile(t.out); ok {
		p.file = f
	}
	return p
}

func (p *plain) put(b batch) error {
	for run := range b.runs(p.size) {
		off := run.offs[0]
		// The last cell may reach beyond the end of the disk.
		data := run.data[:min(int64(len(run.data)), p.size-off)]
		if err := p.writeAt(data, off); err != nil {
			return err
		}
	}
	return nil
}

func (p *plain) writeAt(data []byte, off int64) error {
	if p.file != nil {
		_, err := p.file.WriteAt(data, off)
		return err
	}
	if err := writeZeros(p.out, off-p.pos); err != nil {
		return err
	}
	p.pos = off + int64(len(data))
	_, err := p.out.Write(data)
	return err
}

func (p *plain) finish() error {
	if p.file != nil {
		if err := p.file.Truncate(p.size); err != nil {
			return err
		}
	}
	return p.writeAt(p.tail, p.size)
}

// writeZeros writes n zeros to w.
func writeZeros(w io.Writer, n int64) error {
	_, err := io.CopyN(w, zeros{}, n)
	return err
}

// zeros is an endless reader of zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
