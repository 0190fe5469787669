package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestReadOnlyChangesNothing(t *testing.T) {
	b := newBed(t)
	for _, method := range []string{"POST", "DELETE", "PUT", "PATCH", "OPTIONS"} {
		wantRefusal(t, ask(t, b.ReadOnly(), method, installPath(mac1), ""), http.StatusForbidden, "use `cloudlets install` on the server itself")
	}
	if state, seen := b.Tracker.State(mac1); seen {
		t.Errorf("the machine's state is %+v", state)
	}
	for _, path := range []string{"/", "/page/app.js", "/api/v1/machines", "/api/v1/status"} {
		if w := ask(t, b.ReadOnly(), "GET", path, ""); w.Code != http.StatusOK {
			t.Errorf("GET %s: %d", path, w.Code)
		}
	}
}

func TestReadOnlyKnowsItsNames(t *testing.T) {
	b := newBed(t)
	b.Hosts = []string{"boot.example.org"}
	h := b.ReadOnly()
	for host, want := range map[string]int{
		"10.0.0.1": 200, "10.0.0.1:8080": 200, "[fd00::1]:8080": 200, "[fd00::1]": 200,
		"localhost": 200, "LOCALHOST:80": 200, "localhost.:80": 200, "boot.example.org:8080": 200, "Boot.Example.Org": 200,
		"evil.example": 403, "evil.example:80": 403, "10.0.0.1.evil.example": 403, "": 403, "localhost.evil.example": 403,
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/api/v1/machines", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
		if want == http.StatusForbidden {
			wantRefusal(t, w, http.StatusForbidden, "use its IP address")
		}
	}
}
