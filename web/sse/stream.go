// Package sse writes and reads server-sent events (HTML standard, section 9.2). It
// knows nothing of what the events say.
package sse

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// WriteTimeout is how long a reader may delay a write.
	WriteTimeout = 30 * time.Second
	// RetryAfter is how long a reader waits before it reconnects.
	RetryAfter = time.Second
)

// Stream is one answer that stays open and sends events. Make one with [NewStream].
// Only one goroutine may use it.
type Stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// NewStream makes a stream of the answer to a request. Nothing is sent yet.
func NewStream(w http.ResponseWriter) *Stream {
	return &Stream{w, http.NewResponseController(w)}
}

// Begin sends the headers, so that the reader knows that it is connected.
func (out *Stream) Begin() error {
	h := out.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	return out.write(fmt.Appendf(nil, "retry: %d\n\n", RetryAfter.Milliseconds()))
}

// Send writes one event. The name is "" for the default kind; an ID of 0 is left
// out. One data line is enough, since the JSON has no line ends.
func (out *Stream) Send(name string, id uint64, value any) error {
	text, err := eventText(name, id, value)
	if err != nil {
		return err
	}
	return out.write(text)
}

// eventText is an event as it goes over the wire.
func eventText(name string, id uint64, value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("write event: %w", err)
	}
	var text []byte
	if id > 0 {
		text = fmt.Appendf(text, "id: %d\n", id)
	}
	if name != "" {
		text = fmt.Appendf(text, "event: %s\n", name)
	}
	return fmt.Appendf(text, "data: %s\n\n", data), nil
}

// Beat writes a comment, which readers ignore.
func (out *Stream) Beat() error { return out.write([]byte(":\n\n")) }

func (out *Stream) write(text []byte) error {
	err := out.control.SetWriteDeadline(time.Now().Add(WriteTimeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("write event: %w", err)
	}
	if _, err := out.w.Write(text); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	if err := out.control.Flush(); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	return nil
}
