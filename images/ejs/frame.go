package ejs

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"
)

// Parent and child speak in frames: the length of what follows in four bytes,
// big-endian, then JSON. The parent begins with the settings and the child
// answers with an empty response when it is ready; after that each request
// has one response.

// settings are the parent's first frame.
type settings struct {
	Time   time.Duration `json:"time"`
	Output int           `json:"output"`
	Memory int64         `json:"memory"`
}

// request asks for one render.
type request struct {
	Name     string          `json:"name"`
	Template []byte          `json:"template"`
	Data     json.RawMessage `json:"data"`
}

// response is what became of a request.
type response struct {
	Output []byte `json:"output,omitempty"`
	// Error is what is wrong with the template; Failure is any other error.
	Error   *Error `json:"error,omitempty"`
	Failure string `json:"failure,omitempty"`
	// Retire says that the child has grown and wants to be replaced.
	Retire bool `json:"retire,omitempty"`
}

// maxRequest bounds a request's frame, in bytes.
const maxRequest = 64 << 20

// responseSize bounds a response's frame for an output: base64 and a margin.
func responseSize(output int) int { return output/3*4 + 1<<16 }

// writeFrame sends one value.
func writeFrame(w io.Writer, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	if int64(len(text)) > math.MaxUint32 {
		return fmt.Errorf("a frame of %d bytes is too large", len(text))
	}
	buffered := bufio.NewWriterSize(w, 1<<16)
	buffered.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text)))) // errors stay until Flush
	buffered.Write(text)
	return buffered.Flush()
}

// readFrame receives one value of at most limit bytes. At the end of the
// stream it returns io.EOF.
func readFrame(r io.Reader, limit int, value any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(head[:]))
	if size > int64(limit) {
		return fmt.Errorf("a frame of %d bytes is more than the %d allowed", size, limit)
	}
	text, err := io.ReadAll(io.LimitReader(r, size))
	if err != nil {
		return err
	}
	if int64(len(text)) < size {
		return io.ErrUnexpectedEOF
	}
	return json.Unmarshal(text, value)
}
