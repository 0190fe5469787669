//go:build linux

package lane

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// parse reads the head of a plain request, which must be all that there is. It
// reports false for whatever it does not understand completely. For a plain head the
// request is the one that net/http makes of it, but for what belongs to the
// connection.
func parse(head []byte) (r *http.Request, plain bool) {
	if !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		return nil, false
	}
	text := string(head[:len(head)-2])
	line, rest, _ := strings.Cut(text, "\r\n")
	method, line, _ := strings.Cut(line, " ")
	target, ok := strings.CutSuffix(line, " HTTP/1.1")
	if !ok || method != http.MethodGet && method != http.MethodHead || !isPlainPath(target) {
		return nil, false
	}
	r = &http.Request{
		Method: method, URL: &url.URL{Path: target}, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody,
	}
	for rest != "" {
		line, rest, ok = strings.Cut(rest, "\r\n")
		if !ok || !addHeader(r, line) {
			return nil, false
		}
	}
	return r, r.Host != ""
}

// isPlainPath says whether the target of a request is a path that stands for itself:
// nothing in it is escaped, and nothing would have to be.
func isPlainPath(target string) bool {
	if target == "" || target[0] != '/' || strings.HasPrefix(target, "//") {
		return false
	}
	for i := range len(target) {
		c := target[i]
		if !isAlphanumeric(c) && c != '/' && c != '-' && c != '.' && c != '_' && c != '~' && c != ':' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// addHeader adds a line to the header of a request. It reports false for a header
// that may change what the request is, for one that is unknown, and for one that comes
// twice.
func addHeader(r *http.Request, line string) bool {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isText(name) || strings.ContainsRune(name, ' ') {
		return false
	}
	value = strings.TrimPrefix(value, " ")
	if !isText(value) || strings.HasPrefix(value, " ") || strings.HasSuffix(value, " ") {
		return false
	}
	switch name = textproto.CanonicalMIMEHeaderKey(name); name {
	case "Host":
		if r.Host != "" || !isPlainHost(value) {
			return false
		}
		r.Host = value
		return true
	case "Connection":
		if !strings.EqualFold(value, "keep-alive") {
			return false
		}
	case "Range":
		if strings.Contains(value, ",") { // several parts have a form of their own
			return false
		}
	case "Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "User-Agent",
		"If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "If-Unmodified-Since":
	default:
		return false
	}
	if _, twice := r.Header[name]; twice {
		return false
	}
	r.Header[name] = []string{value}
	return true
}

// isText says whether a text has nothing but visible characters of ASCII and spaces.
func isText(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// isPlainHost says whether a text is the name or the address of a host, perhaps with
// a port.
func isPlainHost(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isAlphanumeric(c) && c != '.' && c != ':' && c != '-' && c != '[' && c != ']' {
			return false
		}
	}
	return text != ""
}
