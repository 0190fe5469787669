package requests

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Bounds of an agent's request: its length in bytes, and how long it may take to
// arrive.
const (
	maxRequest  = 256 << 10
	requestTime = 30 * time.Second
)

// ReadJSON reads a request whose body is one JSON value.
func ReadJSON(w http.ResponseWriter, r *http.Request, into any) error {
	// A test's response writer cannot set the deadline; then none is needed.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
		return fmt.Errorf("it is longer than the %d bytes allowed", maxRequest)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// WriteJSON answers with a value, and with its length.
func WriteJSON(w http.ResponseWriter, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "write the answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body) // it fails only if the client is gone
}
