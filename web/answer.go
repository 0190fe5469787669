package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/sse"
)

// refusal is an error in the request, with the HTTP status of the answer.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// answer makes a handler that writes what a function returns as JSON.
func (s *Server) answer(ask func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := ask(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		writeJSON(w, http.StatusOK, value)
	}
}

// stream makes the handler of a stream. It calls run, which writes until the
// request ends, the server stops, or writing fails.
func (s *Server) stream(run func(*http.Request, *sse.Stream) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		leave, err := s.streams.Enter(r)
		if err != nil {
			w.Header().Set("Retry-After", "5")
			s.fail(w, r, refuse(http.StatusServiceUnavailable, "%v", err))
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

// fail answers with an error, and logs it if it is the server's fault.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	if status == http.StatusInternalServerError && r.Context().Err() == nil {
		s.log().Error("a request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	writeJSON(w, status, api.Failure{Error: err.Error()})
}

func statusOf(err error) int {
	if refused, ok := errors.AsType[*refusal](err); ok {
		return refused.status
	}
	if errors.Is(err, provision.ErrNotInstallable) || errors.Is(err, provision.ErrDiskNotEmpty) || errors.Is(err, provision.ErrNoOtherSlot) || errors.Is(err, provision.ErrNotBootable) || errors.Is(err, provision.ErrBootTaken) {
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	text = append(text, '\n')
	answerJSON(w)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	w.Write(text) // it fails only if the client is gone
}

// answerJSON sets the headers of an answer that is JSON.
func answerJSON(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
}

func noSuchThing(r *http.Request) (any, error) {
	return nil, refuse(http.StatusNotFound, "this API has no path %s; /api/v1/machines is the table of machines", r.URL.Path)
}

// methods are the handlers of one path, by method; "*" takes any.
type methods map[string]http.HandlerFunc

func (m methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	handle := m[method]
	if handle == nil {
		handle = m["*"]
	}
	if handle != nil {
		handle(w, r)
		return
	}
	allowed := strings.Join(slices.Sorted(maps.Keys(m)), ", ")
	w.Header().Set("Allow", allowed)
	writeJSON(w, http.StatusMethodNotAllowed, api.Failure{Error: fmt.Sprintf("%[2]s does not allow the method %[1]s; use %[3]s", r.Method, r.URL.Path, allowed)})
}
