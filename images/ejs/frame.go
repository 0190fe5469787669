package ejs

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"
)

// Parent and child exchange frames. A frame consists of the lengths of its two
// parts, each as four bytes in big-endian order, then a head in JSON, then a
// body of bytes. The parent first sends the settings, and the child answers
// with an empty response when it is ready. After that, each request gets one
// response.
//
// A template is sent only once; later requests name it by its key. If the child
// has forgotten the template, it says so, and the parent repeats the request
// with the template.

// settings is the parent's first frame.
type settings struct {
	Time   time.Duration `json:"time"`
	Output int           `json:"output"`
	Memory int64         `json:"memory"`
}

// key identifies a template together with its name, because errors contain the
// name.
type key [sha256.Size]byte

func keyOf(name string, template []byte) key {
	sum := sha256.New()
	io.WriteString(sum, name) // a hash never returns an error
	sum.Write([]byte{0})
	sum.Write(template)
	return key(sum.Sum(nil))
}

// request asks for one render. The body of the frame is the template, if it is
// included, followed by the data.
type request struct {
	Name string `json:"name"`
	Key  []byte `json:"key"`
	// Template is how many bytes of the body are the template, or noTemplate if
	// the template is not included.
	Template int `json:"template"`
}

const noTemplate = -1

// response is the answer to a request. The body of the frame is the output.
type response struct {
	// Unknown means that the child needs the template.
	Unknown bool `json:"unknown,omitempty"`
	// Error is a fault of the template. Failure is any other error.
	Error   *Error `json:"error,omitempty"`
	Failure string `json:"failure,omitempty"`
	// Retire means that the child has grown and should be replaced.
	Retire bool `json:"retire,omitempty"`
}

const (
	maxHead    = 1 << 16  // bounds a frame's head, in bytes
	maxRequest = 64 << 20 // bounds a request's body, in bytes

	// maxTogether is the largest part, in bytes, that is written together with the
	// others. To copy a larger one costs more than a write.
	maxTogether = 64 << 10
)

// writeFrame writes a head and a body. The body may consist of several parts.
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
	frame := append(lengths, text...)
	for _, part := range body {
		if len(part) <= maxTogether {
			frame = append(frame, part...)
			continue
		}
		for _, piece := range [][]byte{frame, part} {
			if _, err := w.Write(piece); err != nil {
				return err
			}
		}
		frame = nil
	}
	_, err = w.Write(frame)
	return err
}

// readFrame reads a head and a body of at most limit bytes. At the end of the
// stream it returns io.EOF.
func readFrame(r io.Reader, limit int, head any) (body []byte, err error) {
	var lengths [8]byte
	if _, err := io.ReadFull(r, lengths[:]); err != nil {
		return nil, err
	}
	first, second := int64(binary.BigEndian.Uint32(lengths[:])), int64(binary.BigEndian.Uint32(lengths[4:]))
	if first > maxHead || second > int64(limit) {
		return nil, fmt.Errorf("a frame of %d and %d bytes exceeds the limits of %d and %d bytes", first, second, maxHead, limit)
	}
	text := make([]byte, first+second)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, fmt.Errorf("a frame is cut off: %w", err)
	}
	return text[first:], json.Unmarshal(text[:first], head)
}
