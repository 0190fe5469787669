package ejs

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"
)

// Parent and child speak in frames: the lengths of the two parts that follow,
// each in four bytes, big-endian; a head in JSON; a body of bytes. The parent
// begins with the settings and the child answers with an empty response when
// it is ready; after that each request has one response.
//
// A template travels once: later requests name it by its key. A child that
// has forgotten it says so, and is asked again with the template.

// settings are the parent's first frame.
type settings struct {
	Time   time.Duration `json:"time"`
	Output int           `json:"output"`
	Memory int64         `json:"memory"`
}

// key identifies a template together with its name, which its errors tell.
type key [sha256.Size]byte

func keyOf(name string, template []byte) key {
	sum := sha256.New()
	io.WriteString(sum, name) // a hash takes all that it is given
	sum.Write([]byte{0})
	sum.Write(template)
	return key(sum.Sum(nil))
}

// request asks for one render. The template, if it is there, and then the
// data are the frame's body.
type request struct {
	Name string `json:"name"`
	Key  []byte `json:"key"`
	// Template is how many bytes of the body are the template; noTemplate
	// where it is not there.
	Template int `json:"template"`
}

const noTemplate = -1

// response is what became of a request. The output is the frame's body.
type response struct {
	// Unknown says that the template has to be sent along.
	Unknown bool `json:"unknown,omitempty"`
	// Error is what is wrong with the template; Failure is any other error.
	Error   *Error `json:"error,omitempty"`
	Failure string `json:"failure,omitempty"`
	// Retire says that the child has grown and wants to be replaced.
	Retire bool `json:"retire,omitempty"`
}

const (
	maxHead    = 1 << 16  // bounds a frame's head, in bytes
	maxRequest = 64 << 20 // bounds a request's body, in bytes
)

// writeFrame sends a head and a body, which may come in parts.
func writeFrame(w io.Writer, head any, body ...[]byte) error {
	text, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	size := int64(0)
	for _, part := range body {
		size += int64(len(part))
	}
	if len(text) > maxHead || size > math.MaxUint32 {
		return fmt.Errorf("a frame of %d and %d bytes is too large", len(text), size)
	}
	lengths := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	lengths = binary.BigEndian.AppendUint32(lengths, uint32(size))
	buffered := bufio.NewWriterSize(w, 1<<16)
	for _, part := range append([][]byte{lengths, text}, body...) {
		buffered.Write(part) // errors stay until Flush
	}
	return buffered.Flush()
}

// readFrame receives a head and a body of at most limit bytes. At the end of
// the stream it returns io.EOF.
func readFrame(r io.Reader, limit int, head any) (body []byte, err error) {
	var lengths [8]byte
	if _, err := io.ReadFull(r, lengths[:]); err != nil {
		return nil, err
	}
	first, second := int64(binary.BigEndian.Uint32(lengths[:])), int64(binary.BigEndian.Uint32(lengths[4:]))
	if first > maxHead || second > int64(limit) {
		return nil, fmt.Errorf("a frame of %d and %d bytes is more than the %d and %d allowed", first, second, maxHead, limit)
	}
	text := make([]byte, first+second)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, fmt.Errorf("a frame is cut off: %w", err)
	}
	return text[first:], json.Unmarshal(text[:first], head)
}
