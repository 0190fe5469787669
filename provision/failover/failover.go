// Package failover sends HTTP requests to one of several servers that have the same
// files and share a store, and goes on with another one when that does not answer.
package failover

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// Transport sends each request to one of the servers. It stays with one as long as
// that answers, and then goes on with the next, so that whoever sends a request
// again, or reads on where a connection broke, need not know that there are several.
// The host in a request's URL does not matter. Several goroutines may use it.
type Transport struct {
	next http.RoundTripper
	log  *slog.Logger

	mu    sync.Mutex
	bases []*url.URL
	now   int // index of the server that is asked
}

var _ http.RoundTripper = (*Transport)(nil)

// New returns a transport to some servers, by their base URLs: the first is asked
// first. next sends the requests. A nil log is silent.
func New(next http.RoundTripper, log *slog.Logger, bases ...string) (*Transport, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &Transport{next: next, log: log}
	if len(bases) == 0 {
		return nil, errors.New("send requests to one of several servers: none is given")
	}
	return t, t.Add(bases...)
}

// Add adds servers that are not known yet, by their base URLs.
func (t *Transport) Add(bases ...string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, base := range bases {
		u, err := url.Parse(base)
		if err != nil {
			return fmt.Errorf("read the address of a server: %w", err)
		}
		same := func(other *url.URL) bool { return other.Scheme == u.Scheme && other.Host == u.Host }
		if !slices.ContainsFunc(t.bases, same) {
			t.bases = append(t.bases, u)
		}
	}
	return nil
}

// first returns the server that is asked now, and how many there are.
func (t *Transport) first() (at, count int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now, len(t.bases)
}

// base returns the server with an index.
func (t *Transport) base(i int) *url.URL {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bases[i%len(t.bases)]
}

// leave goes on with the server after one that did not answer, unless that has
// been left already.
func (t *Transport) leave(i int, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i %= len(t.bases); i != t.now || len(t.bases) == 1 {
		return
	}
	t.now = (i + 1) % len(t.bases)
	t.log.Warn("going on with another server", "server", t.bases[t.now].Host, "instead of", t.bases[i].Host, "reason", why)
}

// Leave goes on with another server, since what the present one sent is of no use.
func (t *Transport) Leave(why error) {
	i, _ := t.first()
	t.leave(i, why)
}

// RoundTrip implements [http.RoundTripper]. It tries each server once. The host in
// the request's URL does not matter.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.GetBody == nil {
		defer r.Body.Close()
		return nil, errors.New("the body of a request must be one that can be sent again")
	}
	at, count := t.first()
	for i := at; ; i++ {
		attempt, err := aimed(r, t.base(i), i > at)
		if err != nil {
			return nil, err
		}
		response, err := t.next.RoundTrip(attempt)
		last := i == at+count-1
		switch {
		case err != nil:
			t.leave(i, err)
			if last || r.Context().Err() != nil {
				return nil, err
			}
		case !last && elsewhere(r, response):
			t.leave(i, errors.New(response.Status))
			response.Body.Close() // it is only an error's text
		default:
			response.Body = &watchedBody{ReadCloser: response.Body, transport: t, at: i}
			return response, nil
		}
	}
}

// aimed is a request to one of the servers. The body of the first attempt is the
// request's own.
func aimed(r *http.Request, base *url.URL, again bool) (*http.Request, error) {
	attempt := r.Clone(r.Context())
	attempt.URL.Scheme, attempt.URL.Host, attempt.Host = base.Scheme, base.Host, ""
	if again && r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		attempt.Body = body
	}
	return attempt, nil
}

// elsewhere says whether another server may do better: this one cannot serve now,
// or has no such file yet.
func elsewhere(r *http.Request, response *http.Response) bool {
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusInternalServerError:
		return true
	case http.StatusNotFound:
		return r.Method == http.MethodGet
	}
	return false
}

// watchedBody leaves a server whose answer breaks off.
type watchedBody struct {
	io.ReadCloser
	transport *Transport
	at        int
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.transport.leave(b.at, err)
	}
	return n, err
}
