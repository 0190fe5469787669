package web

import (
	"errors"
	"net/http"
	"time"

	"cloudlets/web/sse"
)

// backup answers with a copy of the store, which is a file of its own. The
// answer breaks off if the copy cannot be made whole.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	if s.Backup == nil {
		s.fail(w, r, refuse(http.StatusForbidden, "this address gives no backup; use `cloudlets backup` on the server itself"))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "no-store")
	if err := s.Backup(r.Context(), &patientWriter{w, http.NewResponseController(w)}); err != nil {
		s.log().Error("a backup was broken off", "error", err)
		panic(http.ErrAbortHandler)
	}
}

// patientWriter gives a client some time for each piece of an answer. While a
// backup is read, the store's file can only grow, so it must not take for ever.
type patientWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements [io.Writer].
func (w *patientWriter) Write(p []byte) (int, error) {
	err := w.control.SetWriteDeadline(time.Now().Add(sse.WriteTimeout))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return w.ResponseWriter.Write(p)
}
