package web_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestThePageAllowsNoForeignScript(t *testing.T) {
	w := ask(t, newBed(t).Handler(), "GET", "/", "")
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q has no %q", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("the policy %q allows what is unsafe", policy)
	}
	page := w.Body.String()
	if found := regexp.MustCompile(`(?i)<script[^>]*>[^<]|\son\w+=|style=|(src|href)="[^/#]`).FindString(page); found != "" {
		t.Errorf("the page has %q, which its policy forbids", found)
	}
	if !strings.Contains(page, "1.2.3") {
		t.Error("the page does not show the version")
	}
}

// Every file that the page or one of its scripts names is served.
func TestThePageIsWhole(t *testing.T) {
	h := newBed(t).Handler()
	types := map[string]string{"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
	seen := map[string]bool{"/": true}
	for todo := []string{"/"}; len(todo) > 0; todo = todo[1:] {
		w := ask(t, h, "GET", todo[0], "")
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d", todo[0], w.Code)
		}
		_, ending, _ := strings.Cut(todo[0], ".")
		if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, types[ending]) {
			t.Errorf("%s is %s", todo[0], got)
		}
		for _, m := range regexp.MustCompile(`(?:src|href)="(/page/[^"]+)"|from "\.(/[^"]+)"`).FindAllStringSubmatch(w.Body.String(), -1) {
			next := m[1]
			if m[2] != "" {
				next = "/page" + m[2]
			}
			if !seen[next] {
				seen[next] = true
				todo = append(todo, next)
			}
		}
	}
	if len(seen) < 6 {
		t.Errorf("only %v were found", seen)
	}
}

// The page's template is no file of the page, by whatever name.
func TestOnlyFilesOfThePageAreServed(t *testing.T) {
	h := newBed(t).Handler()
	for _, path := range []string{"/page/index.html", "/page/x%2Findex.html", "/page/x%2Fstyle.css", "/page/none.css"} {
		if w := ask(t, h, "GET", path, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d, want 404", path, w.Code)
		}
	}
}

func TestPageFilesAreNotSentTwice(t *testing.T) {
	h := newBed(t).Handler()
	for _, path := range []string{"/", "/page/style.css"} {
		tag := ask(t, h, "GET", path, "").Header().Get("ETag")
		r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusNotModified || w.Body.Len() != 0 || tag == "" {
			t.Errorf("%s with the ETag %s: %d, %d bytes", path, tag, w.Code, w.Body.Len())
		}
	}
}
