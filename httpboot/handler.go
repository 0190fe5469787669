package httpboot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/requests"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/wire"
)

// The paths of the handler. Those of the depot's files, which never change, are
// [depot.FilePath] and [depot.OfferPath].
const (
	loaderPath  = "/loader/"
	overlayPath = "/agent/overlay"
)

// Handler serves the boot chain to machines. It never redirects, since firmware
// does not follow redirects.
func (c *Chain) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /boot/{mac}/script", c.script)
	mux.HandleFunc("GET "+wire.ParamsPath("{mac}"), c.params)
	mux.HandleFunc("GET /"+dialect.OwnDiskFolder("{mac}")+"{file}", c.ownDisk)
	mux.HandleFunc("GET "+asIsFiles("{mac}", "{token}")+"/{path...}", c.asIsFile)
	mux.HandleFunc("GET "+asIsFiles("{mac}", "{token}"), c.asIsFile) // the mux would redirect to the other
	mux.HandleFunc("GET "+loaderPath+"{name}", c.loader)
	mux.HandleFunc("GET "+depot.FilePath("{digest}", "{name}"), c.file)
	mux.HandleFunc("GET "+depot.OfferPath+"{content}", c.offer)
	mux.HandleFunc("POST "+wire.ClaimPath, c.claim)
	mux.HandleFunc("POST "+wire.ConsolePath, c.console)
	mux.HandleFunc("POST "+wire.EventsPath, c.events)
	mux.HandleFunc("POST "+wire.ProposalPath, c.proposal)
	mux.HandleFunc("POST "+wire.InspectPath, c.inspection)
	mux.HandleFunc("POST "+wire.RescuePath, c.rescue)
	mux.HandleFunc("POST "+wire.RescueSaidPath, c.rescueSaid)
	mux.HandleFunc("POST "+wire.LivePath, c.live)
	mux.HandleFunc("POST "+wire.LiveSaidPath, c.liveSaid)
	mux.HandleFunc("GET "+overlayPath, c.overlay)
	c.Systems.Handle(mux)
	mux.HandleFunc("GET /", nothingHere)
	return requests.Clean(c.Systems.WithEC2(mux))
}

// nothingHere answers requests for any other path. Boot loaders make some, such
// as iPXE's for autoexec.ipxe, and so do people with a browser.
func nothingHere(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "there is nothing here: this address is for machines that boot; `cloudlets serve --web ADDRESS` shows them to people", http.StatusNotFound)
}

// loader serves a boot loader to UEFI HTTP Boot.
func (c *Chain) loader(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	file, err := c.Loaders.Path(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", contentType(name))
	if c.serve(w, r, file) {
		c.SawFetch(r, provision.StageLoader, "boot loader "+name)
	}
}

func contentType(name string) string {
	if strings.HasSuffix(name, ".efi") {
		return "application/efi" // UEFI 2.10, 24.7.1
	}
	return "application/octet-stream"
}

// file serves a file of the depot to anyone, since the depot has nothing that
// belongs to one machine.
func (c *Chain) file(w http.ResponseWriter, r *http.Request) {
	digest := "sha256:" + r.PathValue("digest")
	content, err := c.Depot.Open(digest)
	if err != nil {
		c.refuseFile(w, digest, err)
		return
	}
	defer content.Close()
	done, err := c.download(r.Context(), requests.RemoteAddr(r), min(content.Size, rangeLength(r)))
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	defer done()
	header := w.Header()
	header.Set("Content-Type", contentType(r.PathValue("name")))
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("ETag", `"`+digest+`"`)
	http.ServeContent(w, r, "", time.Time{}, content.ReadSeeker)
	if r.Header.Get("Range") == "" {
		c.SawFetch(r, "", r.PathValue("name"))
	}
}

// offer tells another server which pack the depot has of a content. It says nothing
// about a machine, and the content's digest tells only those something who have the
// content, so anyone may ask.
func (c *Chain) offer(w http.ResponseWriter, r *http.Request) {
	ref, has := c.Depot.Offer("sha256:" + r.PathValue("content"))
	if !has {
		http.Error(w, "this server has no pack of that content", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(ref) // if it fails, the connection is gone
}

// rangeLength is how many bytes a request asks for, if it asks for one range that says its
// end; otherwise it is more than any file has.
func rangeLength(r *http.Request) int64 {
	var first, last int64
	var rest string
	if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d%s", &first, &last, &rest); n != 2 || first < 0 || last < first || last == math.MaxInt64 {
		return math.MaxInt64
	}
	return last - first + 1
}

// serve sends a file, or the range of it that the request asks for, with
// sendfile(2) if possible. It returns whether the file could be opened.
func (c *Chain) serve(w http.ResponseWriter, r *http.Request, name string) bool {
	f, err := os.Open(name)
	if err != nil {
		c.refuseFile(w, name, err)
		return false
	}
	defer f.Close()
	http.ServeContent(w, r, "", time.Time{}, f)
	return true
}

// refuseFile answers a request for a file that cannot be opened.
func (c *Chain) refuseFile(w http.ResponseWriter, name string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		http.Error(w, "there is no such file here; if a boot script names it, restart the machine for a new script", http.StatusNotFound)
		return
	}
	c.Logger().Error("a boot file cannot be read", "file", name, "error", err)
	http.Error(w, "the file cannot be read; the server's log says why", http.StatusInternalServerError)
}

// session authenticates an agent.
func (c *Chain) session(r *http.Request) (provision.MAC, error) {
	return c.Tickets.Session(r.Context(), secretOf(r))
}

// secretOf is the session's secret in an agent's request.
func secretOf(r *http.Request) string {
	secret, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return secret
}
