package httpboot

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloudlets/provision"
)

// FuzzHandler gives the boot side requests as they may come off the wire: it
// never panics, redirects nobody, answers errors briefly, and whoever has no
// session changes nothing about a machine's disk.
func FuzzHandler(f *testing.F) {
	b := newBed(f, nil)
	plan := b.claim(node1)
	b.change(node2, func(*provision.Spec) {})
	handler := b.Handler()
	for _, seed := range []string{
		"GET /boot/52:54:00:00:00:02/script HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET //boot/..%2f/script HTTP/1.1\r\nHost: x\r\n\r\n",
		"HEAD /loader/snponly.efi HTTP/1.1\r\nHost: x\r\nRange: bytes=1-,3-4\r\n\r\n",
		"GET " + plan.Pack.Path + " HTTP/1.1\r\nHost: x\r\nIf-Range: \"x\"\r\nRange: bytes=-5\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /agent/claim HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\n{\"token\":\"0\",\"nonce\":\"1\",\"inventory\":[]}",
		"POST /agent/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer SESSION\r\nContent-Length: 50\r\n\r\n[{\"mac\":\"52:54:00:00:00:01\",\"kind\":\"stage\",\"x\":{}}]",
		"GET /agent/overlay HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer SESSION\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		raw = bytes.ReplaceAll(raw, []byte("SESSION"), []byte(plan.Session))
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		r.RemoteAddr = "127.0.0.1:1"
		armed := b.state(node2)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code/100 == 3 && w.Code != http.StatusNotModified {
			t.Errorf("%s %s is sent to %q", r.Method, r.URL, w.Header().Get("Location"))
		}
		if w.Code >= 400 && w.Body.Len() > 8<<10 {
			t.Errorf("%s %s: an error of %d bytes", r.Method, r.URL, w.Body.Len())
		}
		if w.Code/100 == 5 {
			t.Errorf("%s %s: %d: %s", r.Method, r.URL, w.Code, w.Body)
		}
		if after := b.state(node2); after.Armed != armed.Armed || after.Installs > 0 || after.Installing() {
			t.Errorf("%s %s: node2 is %s now", r.Method, r.URL, after)
		}
		if strings.ContainsRune(w.Body.String(), 0x1b) && strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			t.Errorf("%s %s: control characters in the answer: %q", r.Method, r.URL, w.Body)
		}
	})
}
