package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"cloudlets/web/api"
)

// ReadOnly serves the page and those parts of the API that change nothing, so
// that it can listen on a TCP address.
//
// It accepts as Host only IP addresses and the server's own names. Otherwise a
// page of another site, whose name resolves to this address (DNS rebinding),
// could read the API from its visitors' browsers.
func (s *Server) ReadOnly() http.Handler {
	whole := s.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !s.knowsHost(r.Host):
			writeJSON(w, http.StatusForbidden, api.Failure{Error: fmt.Sprintf(
				"%q is not a name of this server; use its IP address instead", r.Host)})
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			writeJSON(w, http.StatusForbidden, api.Failure{Error: fmt.Sprintf(
				"%s is refused, since this address is read-only; use `cloudlets install` on the server itself", r.Method)})
		case strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/power"):
			writeJSON(w, http.StatusForbidden, api.Failure{Error: "this address does not tell whether machines have power, since each question is a login at a management controller; use `cloudlets power` on the server itself"})
		default:
			whole.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), readOnly{}, true)))
		}
	})
}

// readOnly is the key by which a request's context says that it came by
// [Server.ReadOnly].
type readOnly struct{}

func isReadOnly(ctx context.Context) bool { return ctx.Value(readOnly{}) != nil }

// knowsHost says whether a request's Host is an IP address or one of the
// server's own names.
func (s *Server) knowsHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	name = strings.TrimSuffix(name, ".")
	return strings.EqualFold(name, "localhost") ||
		slices.ContainsFunc(s.Hosts, func(own string) bool { return strings.EqualFold(name, own) })
}
