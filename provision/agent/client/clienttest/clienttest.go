// Package clienttest is for tests alone: a server that answers without a network.
package clienttest

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
)

// Server answers requests without a network, so that time can be the test's. It is the
// transport of an [http.Client]. A status of 0 means that no server answers.
type Server func(r *http.Request, body []byte) (status int, answer string)

// RoundTrip implements [http.RoundTripper].
func (f Server) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status, answer := f(r, body)
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	w.WriteHeader(status)
	_, _ = w.WriteString(answer)
	response := w.Result()
	response.Request = r
	return response, nil
}
