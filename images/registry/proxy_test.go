package registry

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// proxy stands before a registry. It counts what layers are asked for, and
// spoils their way.
type proxy struct {
	addr string

	mu sync.Mutex
	// asked has the Range header of each request for a layer.
	asked []string
	// spoil changes an answer with a layer, the first of which is 0.
	spoil func(n int, answer *http.Response)
	layer string // the digest of the layer; others are passed on as they are
	// noRange makes a registry that knows no parts.
	noRange bool
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	p := &proxy{}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: to})
			r.Out.Host = r.In.Host
			if p.noRange {
				r.Out.Header.Del("Range")
			}
		},
		ModifyResponse: func(answer *http.Response) error {
			p.pass(answer)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(forward)
	t.Cleanup(server.Close)
	p.addr = strings.TrimPrefix(server.URL, "http://")
	return p
}

// pass notes an answer with a layer.
func (p *proxy) pass(answer *http.Response) {
	r := answer.Request
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Method != http.MethodGet || p.layer == "" || !strings.HasSuffix(r.URL.Path, p.layer) {
		return
	}
	p.asked = append(p.asked, r.Header.Get("Range"))
	if p.spoil != nil {
		p.spoil(len(p.asked)-1, answer)
	}
}

// ranges returns what was asked for since the last call.
func (p *proxy) ranges() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.asked
	p.asked = nil
	return all
}

// cut ends a body after some bytes, as a broken connection does.
type cut struct {
	io.ReadCloser
	left int64
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// silent brings some bytes, and then nothing until it is closed.
type silent struct {
	cut
	closed <-chan struct{}
}

func (s *silent) Read(p []byte) (int, error) {
	if s.left <= 0 {
		<-s.closed
		return 0, io.ErrUnexpectedEOF
	}
	return s.cut.Read(p)
}

// flipped changes the first byte.
type flipped struct {
	io.ReadCloser
	done bool
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 && !f.done {
		p[0] ^= 1
		f.done = true
	}
	return n, err
}
