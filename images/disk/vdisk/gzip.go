package vdisk

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// gzipStream writes one gzip member (RFC 1952). Its parts are compressed independently
// of each other on several cores.
type gzipStream struct {
	out   io.Writer
	press *press
	front []byte // bytes to write before the first part
	sum   uint32
	count uint32 // of bytes, modulo 2^32

	zeros  []byte // a cell of zeros
	packed []byte // the same cell compressed
}

// newGzipStream returns a gzip stream that begins with front.
func newGzipStream(out io.Writer, front []byte, workers int) (*gzipStream, error) {
	p, err := newPress(workers, partEncoder)
	if err != nil {
		return nil, err
	}
	z := &gzipStream{out: out, press: p, zeros: make([]byte, mib)}
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

func (z *gzipStream) tally(data []byte) {
	z.sum = crc32.Update(z.sum, crc32.IEEETable, data)
	z.count += uint32(len(data))
}

// write writes the front, unless that was done, and then the parts.
func (z *gzipStream) write(part []byte) error {
	if z.front != nil {
		if _, err := z.out.Write(z.front); err != nil {
			return err
		}
		z.front = nil
	}
	_, err := z.out.Write(part)
	return err
}

// add writes cells.
func (z *gzipStream) add(b batch) error {
	packed, err := z.press.all(b)
	if err != nil {
		return err
	}
	z.tally(b.data)
	for _, part := range packed {
		if err := z.write(part); err != nil {
			return err
		}
	}
	return nil
}

// addZeros writes a cell of zeros.
func (z *gzipStream) addZeros() error {
	z.tally(z.zeros)
	return z.write(z.packed)
}

// finish writes the last bytes and ends the stream.
func (z *gzipStream) finish(last []byte) error {
	part, err := z.press.encoders[0](nil, last)
	if err != nil {
		return err
	}
	z.tally(last)
	part = append(part, 3, 0) // an empty last block
	return z.write(append(part, encode(binary.LittleEndian, []uint32{z.sum, z.count})...))
}
