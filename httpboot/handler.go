package httpboot

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/track"
	"cloudlets/provision/wire"
)

// The places of the boot side. What is under filesPath never changes.
const (
	loaderPath  = "/loader/"
	filesPath   = "/files/"
	overlayPath = "/agent/overlay"
)

// filePath is where a file of the depot is served: its digest is in its path,
// the name after it is for people.
func filePath(digest, name string) string {
	return filesPath + strings.TrimPrefix(digest, "sha256:") + "/" + name
}

// Handler serves the boot side. It redirects nobody: firmware does not follow.
func (c *Chain) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /boot/{mac}/script", c.script)
	mux.HandleFunc("GET "+loaderPath+"{name}", c.loader)
	mux.HandleFunc("GET "+filesPath+"{digest}/{name}", c.file)
	mux.HandleFunc("POST "+wire.ClaimPath, c.claim)
	mux.HandleFunc("POST "+wire.EventsPath, c.events)
	mux.HandleFunc("GET "+overlayPath, c.overlay)
	mux.HandleFunc("GET /", nothingHere)
	return clean(mux)
}

// nothingHere answers what loaders ask for on their own account, such as
// iPXE's autoexec.ipxe, and people who look.
func nothingHere(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "there is nothing here: this address is for machines that boot; `cloudlets serve --web ADDRESS` shows them to people", http.StatusNotFound)
}

// clean takes doubled slashes and dots out of paths here, since the mux would
// answer them with a redirect.
func clean(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := path.Clean("/" + r.URL.Path); p != r.URL.Path {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = p, ""
		}
		next.ServeHTTP(w, r)
	})
}

// loader serves a boot loader to UEFI HTTP Boot.
func (c *Chain) loader(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	file, err := c.Loaders.path(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", contentType(name))
	if c.serve(w, r, file, "") {
		c.sawFetch(r, provision.StageLoader, "boot loader "+name)
	}
}

func contentType(name string) string {
	if strings.HasSuffix(name, ".efi") {
		return "application/efi" // UEFI 2.10, 24.7.1
	}
	return "application/octet-stream"
}

// file serves a file of the depot, to anyone: it holds nothing of one machine.
func (c *Chain) file(w http.ResponseWriter, r *http.Request) {
	digest := "sha256:" + r.PathValue("digest")
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	if c.serve(w, r, c.Depot.Path(digest), digest) && r.Header.Get("Range") == "" {
		c.sawFetch(r, "", r.PathValue("name"))
	}
}

// serve sends a file with its length, by Range if asked, by sendfile where the
// kernel can. It says whether there was something to send.
func (c *Chain) serve(w http.ResponseWriter, r *http.Request, name, digest string) bool {
	f, err := os.Open(name)
	if err != nil {
		w.Header().Del("Cache-Control") // an error is not for ever
	}
	if errors.Is(err, fs.ErrNotExist) {
		http.Error(w, "there is no such file here; if a boot script names it, restart the machine for a new script", http.StatusNotFound)
		return false
	}
	if err != nil {
		c.log().Error("a boot file cannot be read", "file", name, "error", err)
		http.Error(w, "the file cannot be read; the server's log says why", http.StatusInternalServerError)
		return false
	}
	defer f.Close()
	if digest != "" {
		w.Header().Set("ETag", `"`+digest+`"`)
	}
	http.ServeContent(w, r, "", time.Time{}, f)
	return true
}

// overlay serves an agent its machine's overlay, and no other.
func (c *Chain) overlay(w http.ResponseWriter, r *http.Request) {
	mac, err := c.session(r)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	c.serve(w, r, c.overlayFile(mac), "")
}

// session authenticates an agent.
func (c *Chain) session(r *http.Request) (provision.MAC, error) {
	secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return c.Tickets.Session(r.Context(), secret)
}

// refuse answers with a sentence, and with the status that tells whether
// asking again may help.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, track.ErrRefused):
		status = http.StatusForbidden
	case isRefusal(err):
		status = http.StatusConflict
	}
	http.Error(w, err.Error(), status)
}

// refusal is an error that only a person can change.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

func isRefusal(err error) bool {
	_, is := errors.AsType[*refusal](err)
	return is
}
