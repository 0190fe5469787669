package web

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// ReadOnly is the page and what can be read of the API, fit for a TCP address:
// nothing that is sent to it changes anything.
//
// It answers only to names that nobody else can point at the server: a page of
// another site, whose name was made to resolve to this address (DNS
// rebinding), would otherwise read along in its visitors' browsers.
func (s *Server) ReadOnly() http.Handler {
	whole := s.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !s.knowsHost(r.Host):
			writeJSON(w, http.StatusForbidden, Failure{fmt.Sprintf(
				"this server does not go by the name %q; use its IP address instead", r.Host)})
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			writeJSON(w, http.StatusForbidden, Failure{fmt.Sprintf(
				"%s is refused: this address only shows what is there; use `cloudlets install` on the server itself", r.Method)})
		default:
			whole.ServeHTTP(w, r)
		}
	})
}

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
