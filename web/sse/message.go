package sse

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxMessage bounds one message of a stream, and each of its lines, in bytes.
const maxMessage = 1 << 20

// errTooLong refuses a message that is longer than any that a daemon sends.
var errTooLong = fmt.Errorf("a message has more than %d bytes", maxMessage)

// Message is one server-sent event.
type Message struct {
	ID   string // "" if it has none
	Name string // "" for the usual kind
	Data []byte
}

// Reader reads server-sent events (HTML standard, section 9.2.6). Lines
// end in LF or CRLF; unlike in the standard, a CR alone does not end a line.
type Reader struct {
	lines *bufio.Scanner
}

// NewReader makes a reader of the messages in an answer.
func NewReader(r io.Reader) *Reader {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxMessage)
	return &Reader{lines}
}

// Next returns the next message that has data. If the stream ends, even in the
// middle of a message, the error is [io.ErrUnexpectedEOF].
func (r *Reader) Next() (Message, error) {
	var m Message
	var data [][]byte
	size := 0
	for r.lines.Scan() {
		line := bytes.TrimRight(r.lines.Bytes(), "\r")
		if len(line) == 0 {
			if data == nil {
				m = Message{}
				continue
			}
			m.Data = bytes.Join(data, []byte("\n"))
			return m, nil
		}
		if size += len(line); size > maxMessage {
			return Message{}, errTooLong
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "id":
			m.ID = string(value)
		case "event":
			m.Name = string(value)
		case "data":
			data = append(data, bytes.Clone(value))
		}
	}
	return Message{}, r.end()
}

// end returns the reason why there are no more lines.
func (r *Reader) end() error {
	err := r.lines.Err()
	switch {
	case errors.Is(err, bufio.ErrTooLong):
		return errTooLong
	case err != nil:
		return err
	}
	return io.ErrUnexpectedEOF
}
