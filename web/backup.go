package web

import "net/http"

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
	if err := s.Backup(r.Context(), w); err != nil {
		s.log().Error("a backup was broken off", "error", err)
		panic(http.ErrAbortHandler)
	}
}
