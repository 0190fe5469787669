package agent

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

// servers sends each request to one of the servers that share a store and have
// the same files. It stays with one as long as that answers, and then goes on with
// the next, so that whoever sends a request again, or reads on where a connection
// broke, need not know that there are several.
type servers struct {
	next http.RoundTripper
	log  *slog.Logger

	mu    sync.Mutex
	bases []*url.URL
	now   int // index of the server that is asked
}

var _ http.RoundTripper = (*servers)(nil)

// add adds servers that are not known yet, by their base URLs.
func (s *servers) add(bases ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, base := range bases {
		u, err := url.Parse(base)
		if err != nil {
			return fmt.Errorf("read the address of a server: %w", err)
		}
		same := func(other *url.URL) bool { return other.Scheme == u.Scheme && other.Host == u.Host }
		if !slices.ContainsFunc(s.bases, same) {
			s.bases = append(s.bases, u)
		}
	}
	return nil
}

// first returns the server that is asked now, and how many there are.
func (s *servers) first() (at, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, len(s.bases)
}

// base returns the server with an index.
func (s *servers) base(i int) *url.URL {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bases[i%len(s.bases)]
}

// leave goes on with the server after one that did not answer, unless that has
// been left already.
func (s *servers) leave(i int, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i %= len(s.bases); i != s.now || len(s.bases) == 1 {
		return
	}
	s.now = (i + 1) % len(s.bases)
	s.log.Warn("going on with another server", "server", s.bases[s.now].Host, "instead of", s.bases[i].Host, "reason", why)
}

// RoundTrip implements [http.RoundTripper]. It tries each server once. The host in
// the request's URL does not matter.
func (s *servers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.GetBody == nil {
		defer r.Body.Close()
		return nil, errors.New("the body of a request must be one that can be sent again")
	}
	at, count := s.first()
	for i := at; ; i++ {
		attempt, err := aimed(r, s.base(i), i > at)
		if err != nil {
			return nil, err
		}
		response, err := s.next.RoundTrip(attempt)
		last := i == at+count-1
		switch {
		case err != nil:
			s.leave(i, err)
			if last || r.Context().Err() != nil {
				return nil, err
			}
		case !last && elsewhere(r, response):
			s.leave(i, errors.New(response.Status))
			response.Body.Close() // it is only an error's text
		default:
			response.Body = &watchedBody{ReadCloser: response.Body, servers: s, at: i}
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
	servers *servers
	at      int
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.servers.leave(b.at, err)
	}
	return n, err
}
