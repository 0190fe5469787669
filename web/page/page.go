// Package page is the page that shows the machines in a browser: its files, and how they are
// served. What it shows, its scripts fetch from the API.
package page

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

//go:embed index.html *.css *.js *.svg
var files embed.FS

// policy lets the page load only files of this server. It forbids inline
// scripts, scripts from elsewhere, and showing the page in a frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Server is what the page says of the server that has it.
type Server struct {
	Version  string
	Site     string // the folder of the site
	ReadOnly bool   // the page is at an address that changes nothing
}

// Index answers with the page itself. After an error nothing was answered.
func Index(w http.ResponseWriter, r *http.Request, s Server) error {
	text, err := indexText(s)
	if err != nil {
		return err
	}
	serve(w, r, "index.html", text)
	return nil
}

func indexText(s Server) ([]byte, error) {
	index, err := template.ParseFS(files, "index.html")
	if err != nil {
		return nil, fmt.Errorf("read the page: %w", err)
	}
	var text bytes.Buffer
	err = index.Execute(&text, map[string]any{"Version": s.Version, "Site": s.Site, "Steps": api.Steps(), "ReadOnly": s.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return text.Bytes(), nil
}

// File answers with one of the files that the page names, such as "style.css". It
// returns false if there is none of this name; then nothing was answered.
func File(w http.ResponseWriter, r *http.Request, name string) bool {
	text, err := fs.ReadFile(files, name)
	if err != nil || name == "index.html" {
		return false
	}
	serve(w, r, name, text)
	return true
}

// serve answers with a text that browsers cache but must revalidate each
// time, since a new daemon may have a new page.
func serve(w http.ResponseWriter, r *http.Request, name string, text []byte) {
	h := w.Header()
	h.Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(text)))
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Type", contentType(name))
	h.Set("Content-Security-Policy", policy)
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
