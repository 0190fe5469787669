// Package requests reads what machines ask by HTTP, within bounds, says where it came
// from, and answers or refuses it. It knows no machines, but the errors of tickets and
// turns, which become statuses.
package requests

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"path"

	"cloudlets/provision"
)

// LocalAddr is the address of this server that an HTTP request came to, by the
// context of the request; invalid if that is not known.
func LocalAddr(ctx context.Context) netip.Addr {
	if at, ok := ctx.Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return at.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// ReachedAt is a context for a machine that reached this server at an address.
func ReachedAt(ctx context.Context, own netip.Addr) context.Context {
	return context.WithValue(ctx, http.LocalAddrContextKey, &net.TCPAddr{IP: own.AsSlice()})
}

// RemoteAddr is where a request came from.
func RemoteAddr(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap()
}

// Protocol is how a request came, for a machine's trace.
func Protocol(r *http.Request) string {
	if r.TLS != nil {
		return "HTTPS"
	}
	return "HTTP"
}

// MaxShown is how many bytes of a client's text are shown.
const MaxShown = 512

// Printable is what is shown of a client's text.
func Printable(text string) string { return provision.Cut(text, MaxShown) }

// Clean removes double slashes, dots, and a slash at the end from the paths of
// requests, since the mux would answer them with a redirect. Patterns of the mux
// therefore have no slash at their end.
func Clean(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := path.Clean("/" + r.URL.Path); p != r.URL.Path {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = p, ""
		}
		next.ServeHTTP(w, r)
	})
}

// ServeSecret answers with a text that nobody on the way may keep.
func ServeSecret(w http.ResponseWriter, text []byte) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(text) // fails only for a client that is gone
}
