package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"time"

	"cloudlets/web/api"
)

//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page load only files of this server. It forbids inline
// scripts, scripts from elsewhere, and showing the page in a frame.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// page serves the page at "/", and its other files beneath "/page/".
func (s *Server) page() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/{$}", methods{"GET": s.index})
	mux.Handle("/page/{file}", methods{"GET": s.pageFile})
	mux.Handle("/", methods{"*": s.answer(noSuchPage)})
	return mux
}

func noSuchPage(r *http.Request) (any, error) {
	return nil, refuse(http.StatusNotFound, "there is nothing at %s; the page of this server is at /, its API at /api/v1/", r.URL.Path)
}

func (s *Server) index(w http.ResponseWriter, r *http.Request) {
	text, err := s.indexText(isReadOnly(r.Context()))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	servePage(w, r, "index.html", text)
}

func (s *Server) indexText(readOnly bool) ([]byte, error) {
	index, err := template.ParseFS(pageFiles, "page/index.html")
	if err != nil {
		return nil, fmt.Errorf("read the page: %w", err)
	}
	var text bytes.Buffer
	err = index.Execute(&text, map[string]any{"Version": s.Version, "Site": s.Site.Dir(), "Steps": api.Steps(), "ReadOnly": readOnly})
	if err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return text.Bytes(), nil
}

func (s *Server) pageFile(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	text, err := fs.ReadFile(pageFiles, path.Join("page", path.Base(name)))
	if err != nil || name == "index.html" {
		_, err := noSuchPage(r)
		s.fail(w, r, err)
		return
	}
	servePage(w, r, name, text)
}

// servePage answers with a text that browsers cache but must revalidate each
// time, since a new daemon may have a new page.
func servePage(w http.ResponseWriter, r *http.Request, name string, text []byte) {
	h := w.Header()
	h.Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(text)))
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Type", contentType(name))
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
}

// contentType has its own table, since those of systems differ.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return "application/octet-stream"
	}
}
