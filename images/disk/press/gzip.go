package press

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Gzip writes one gzip member (RFC 1952). Its parts are compressed independently
// of each other on several cores.
type Gzip struct {
	out   io.Writer
	press *Press
	front []byte // bytes to write before the first part
	sum   uint32
	count uint32 // of bytes, modulo 2^32

	zeros  []byte // a cell of zeros
	packed []byte // the same cell compressed
}

// ZeroCell is the size in bytes of the cell that [Gzip.AddZeros] writes.
const ZeroCell = 1 << 20

// NewGzip returns a gzip stream that begins with front.
func NewGzip(out io.Writer, front []byte, workers int) (*Gzip, error) {
	p, err := New(workers, partEncoder)
	if err != nil {
		return nil, err
	}
	z := &Gzip{out: out, press: p, zeros: make([]byte, ZeroCell)}
	if z.packed, err = p.encoders[0](nil, z.zeros); err != nil {
		return nil, err
	}
	// Deflate, no flags, no time, no hint, made on an unknown system.
	z.front = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}
	packed, err := p.encoders[0](nil, front)
	z.front = append(z.front, packed...)
	z.tally(front)
	return z, err
}

func (z *Gzip) tally(data []byte) {
	z.sum = crc32.Update(z.sum, crc32.IEEETable, data)
	z.count += uint32(len(data))
}

// write writes the front, unless that was done, and then the parts.
func (z *Gzip) write(part []byte) error {
	if z.front != nil {
		if _, err := z.out.Write(z.front); err != nil {
			return err
		}
		z.front = nil
	}
	_, err := z.out.Write(part)
	return err
}

// Add writes n cells. The function at returns the i-th cell.
func (z *Gzip) Add(n int, at func(i int) []byte) error {
	packed, err := z.press.All(n, at)
	if err != nil {
		return err
	}
	for i, part := range packed {
		z.tally(at(i))
		if err := z.write(part); err != nil {
			return err
		}
	}
	return nil
}

// AddZeros writes a cell of zeros.
func (z *Gzip) AddZeros() error {
	z.tally(z.zeros)
	return z.write(z.packed)
}

// Finish writes the last bytes and ends the stream.
func (z *Gzip) Finish(last []byte) error {
	part, err := z.press.encoders[0](nil, last)
	if err != nil {
		return err
	}
	z.tally(last)
	part = append(part, 3, 0) // an empty last block
	return z.write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(part, z.sum), z.count))
}
