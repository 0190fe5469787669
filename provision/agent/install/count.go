package install

import (
	"io"
	"net/http"
	"sync/atomic"
)

// counted is a client like another one, that adds to n the bytes of all bodies that it
// receives.
func counted(c *http.Client, n *atomic.Int64) *http.Client {
	counting := *c
	counting.Transport = &countingTransport{counting.Transport, n}
	return &counting
}

type countingTransport struct {
	next http.RoundTripper // nil means http.DefaultTransport
	n    *atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (t *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	next := t.next
	if next == nil {
		next = http.DefaultTransport
	}
	response, err := next.RoundTrip(r)
	if err == nil {
		response.Body = &countingBody{response.Body, t.n}
	}
	return response, err
}

type countingBody struct {
	io.ReadCloser
	n *atomic.Int64
}

// Read implements [io.Reader].
func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}
