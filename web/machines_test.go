package web_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"cloudlets/provision"
)

// cutWriter loses its connection after some bytes.
type cutWriter struct {
	*httptest.ResponseRecorder
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("the connection is gone")
	}
	return w.ResponseRecorder.Write(p)
}

// TestPageThatBreaksOff: an answer that could not be made to its end is broken off, so that
// the client does not take a part for the whole.
func TestPageThatBreaksOff(t *testing.T) {
	made := newBed(t)
	made.fill(t, 500, provision.StageStream)
	h := made.Handler()
	const path = "http://localhost/api/v1/machines?columns=mac,hostname,stage&limit=500"
	serve := func(w http.ResponseWriter) (broken any) {
		defer func() { broken = recover() }()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return nil
	}
	whole := httptest.NewRecorder()
	if broken := serve(whole); broken != nil || whole.Code != http.StatusOK {
		t.Fatalf("a whole page: %v, %d", broken, whole.Code)
	}
	if broken := serve(&cutWriter{httptest.NewRecorder(), whole.Body.Len() - 1}); broken != http.ErrAbortHandler {
		t.Errorf("a page without its last byte ends with %v, want %v", broken, http.ErrAbortHandler)
	}
}
