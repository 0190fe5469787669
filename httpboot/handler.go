package httpboot

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"net/netip"
	"os"
	"path"
	"strings"
	"time"

	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/turns"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/tickets"
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
	mux.HandleFunc("GET "+noFilePath("{mac}"), c.noFile)
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
	mux.HandleFunc("GET "+wire.RunningPath("{mac}", "{token}"), c.saysRunning)
	mux.HandleFunc("POST "+wire.RunningPath("{mac}", "{token}"), c.saysRunning)
	mux.HandleFunc("GET "+cloudInitPath("{mac}", "{token}", "{document}"), c.noCloud)
	mux.HandleFunc("GET /", nothingHere)
	return clean(c.withEC2(mux))
}

// nothingHere answers requests for any other path. Boot loaders make some, such
// as iPXE's for autoexec.ipxe, and so do people with a browser.
func nothingHere(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "there is nothing here: this address is for machines that boot; `cloudlets serve --web ADDRESS` shows them to people", http.StatusNotFound)
}

// clean removes double slashes, dots, and a slash at the end from the paths of
// requests, since the mux would answer them with a redirect. Patterns of the mux
// therefore have no slash at their end.
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
	file, err := c.Loaders.Path(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", contentType(name))
	if c.serve(w, r, file) {
		c.sawFetch(r, provision.StageLoader, "boot loader "+name)
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
	done, err := c.download(r.Context(), remoteAddr(r), min(content.Size, rangeLength(r)))
	if err != nil {
		refuse(w, err)
		return
	}
	defer done()
	header := w.Header()
	header.Set("Content-Type", contentType(r.PathValue("name")))
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	header.Set("ETag", `"`+digest+`"`)
	http.ServeContent(w, r, "", time.Time{}, content.ReadSeeker)
	if r.Header.Get("Range") == "" {
		c.sawFetch(r, "", r.PathValue("name"))
	}
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
	c.logger().Error("a boot file cannot be read", "file", name, "error", err)
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

// errChanged is the error of a request while what a person wants of the machine changed. It
// is decided anew when the machine asks again.
var errChanged = errors.New("what is wanted of this machine changed in this moment; ask again")

// refuse answers with an error. The status tells the agent whether it may help to
// ask again.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, tickets.ErrRefused):
		status = http.StatusForbidden
	case isRefusal(err):
		status = http.StatusConflict
	case errors.Is(err, errChanged):
		status = http.StatusServiceUnavailable // with no Retry-After: it may ask at once
	case errors.Is(err, turns.ErrBusy):
		status = http.StatusServiceUnavailable
		// Who waits to ask again shall not keep a connection meanwhile, of which there
		// are not enough for all.
		w.Header().Set("Connection", "close")
		w.Header().Set("Retry-After", dialect.RetryAfter)
	}
	http.Error(w, err.Error(), status)
}

// refusal is an error that stays until a person does something.
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

func isRefusal(err error) bool {
	_, is := errors.AsType[*refusal](err)
	return is
}

// remoteAddr is where a request came from.
func remoteAddr(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap()
}
