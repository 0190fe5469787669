package web

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"

	"cloudlets/web/sse"
)

// maxStreams is how many streams of all readers may be open at once, and
// maxFromSource how many from one address.
const (
	maxStreams    = 512
	maxFromSource = 16
)

// stream makes the handler of a stream. It calls run, which writes until the
// request ends, the server stops, or writing fails.
func (s *Server) stream(run func(*http.Request, *sse.Stream) error) http.HandlerFunc {
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
		out := sse.NewStream(w)
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
