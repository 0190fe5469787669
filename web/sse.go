package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// maxStreams is how many streams of all readers may be open at once, and
// maxFromSource how many from one address.
const (
	maxStreams    = 512
	maxFromSource = 16
)

const (
	// writeTimeout is how long a reader may delay a write.
	writeTimeout = 30 * time.Second
	// retryAfter is how long a reader waits before it reconnects.
	retryAfter = time.Second
)

// stream is one answer that stays open and sends events. Make one with [newStream].
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// stream makes the handler of a stream. It calls run, which writes until the
// request ends, the server stops, or writing fails.
func (s *Server) stream(run func(*http.Request, *stream) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		leave, err := s.viewers.enter(sourceOf(r))
		if err != nil {
			w.Header().Set("Retry-After", "5")
			s.fail(w, r, err)
			return
		}
		defer leave()
		ctx, end := context.WithCancel(r.Context())
		defer end()
		go func() {
			defer end()
			select {
			case <-s.Stopping:
			case <-ctx.Done():
			}
		}()
		r = r.WithContext(ctx)
		out := newStream(w)
		err = run(r, out)
		if refused, ok := errors.AsType[*refusal](err); ok {
			s.fail(w, r, refused)
			return
		}
		if err != nil && r.Context().Err() == nil {
			s.log().Debug("a stream of events ended", "path", r.URL.Path, "error", err)
		}
	}
}

// sourceOf is the address that a request came from, or "" on a Unix socket.
func sourceOf(r *http.Request) string {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return addr.Addr().Unmap().String()
}

// viewers counts the streams that are open, by their source.
type viewers struct {
	mu   sync.Mutex
	all  int
	from map[string]int
}

// enter refuses a stream that is one too many. leave ends it.
func (v *viewers) enter(source string) (leave func(), err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.all >= maxStreams:
		return nil, refuse(http.StatusServiceUnavailable, "%d streams are open already; close a page that you do not need, or try again later", maxStreams)
	case source != "" && v.from[source] >= maxFromSource:
		return nil, refuse(http.StatusServiceUnavailable, "%d streams are open from %s already; close a page that you do not need", maxFromSource, source)
	}
	if v.from == nil {
		v.from = make(map[string]int)
	}
	v.all++
	v.from[source]++
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.all--
		if v.from[source]--; v.from[source] == 0 {
			delete(v.from, source)
		}
	}, nil
}

// newStream makes a stream of the answer to a request. Nothing is sent yet.
func newStream(w http.ResponseWriter) *stream {
	return &stream{w, http.NewResponseController(w)}
}

// Begin sends the headers, so that the reader knows that it is connected.
func (out *stream) Begin() error {
	h := out.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	return out.write(fmt.Appendf(nil, "retry: %d\n\n", retryAfter.Milliseconds()))
}

// Send writes one event. The name is "" for the default kind; an ID of 0 is left
// out. One data line is enough, since the JSON has no line ends.
func (out *stream) Send(name string, id uint64, value any) error {
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
func (out *stream) Beat() error { return out.write([]byte(":\n\n")) }

func (out *stream) write(text []byte) error {
	err := out.control.SetWriteDeadline(time.Now().Add(writeTimeout))
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
