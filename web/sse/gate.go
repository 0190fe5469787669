package sse

import (
	"fmt"
	"net/http"
	"net/netip"
	"sync"
)

// maxStreams is how many streams of all readers may be open at once, and
// maxFromSource how many from one address.
const (
	maxStreams    = 512
	maxFromSource = 16
)

// sourceOf is the address that a request came from, or "" on a Unix socket.
func sourceOf(r *http.Request) string {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	return addr.Addr().Unmap().String()
}

// Gate bounds how many streams are open at once. The zero value is ready to use. It is
// safe for concurrent use, and must not be copied after first use.
type Gate struct {
	mu   sync.Mutex
	all  int
	from map[string]int
}

// Enter counts the stream that answers a request, until leave is called. A stream that is
// one too many is an error, which says what a person does about it.
func (g *Gate) Enter(r *http.Request) (leave func(), err error) {
	source := sourceOf(r)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.all >= maxStreams:
		return nil, fmt.Errorf("%d streams are open already; close a page that you do not need, or try again later", maxStreams)
	case source != "" && g.from[source] >= maxFromSource:
		return nil, fmt.Errorf("%d streams are open from %s already; close a page that you do not need", maxFromSource, source)
	}
	if g.from == nil {
		g.from = make(map[string]int)
	}
	g.all++
	g.from[source]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.all--
		if g.from[source]--; g.from[source] == 0 {
			delete(g.from, source)
		}
	}, nil
}
