package depot

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloudlets/images/pack"
)

// serveDepot serves a depot as another server does, and lets a test spoil the
// answers.
func serveDepot(t *testing.T, d *Depot, spoil func(w http.ResponseWriter, r *http.Request, content []byte) bool) (url string) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+OfferPath+"{content}", func(w http.ResponseWriter, r *http.Request) {
		ref, has := d.Offer("sha256:" + r.PathValue("content"))
		text, err := json.Marshal(ref)
		if !has || err != nil {
			http.NotFound(w, r)
			return
		}
		if spoil == nil || !spoil(w, r, text) {
			w.Write(text)
		}
	})
	mux.HandleFunc("GET "+FilePath("{digest}", "pack"), func(w http.ResponseWriter, r *http.Request) {
		name := d.Path("sha256:" + r.PathValue("digest"))
		text, err := os.ReadFile(name)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		if spoil == nil || !spoil(w, r, text) {
			http.ServeFile(w, r, name)
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// runBeside runs a depot that has other servers.
func (s site) runBeside(t *testing.T, j *journal, peers ...string) *Depot {
	t.Helper()
	d := s.open(t, j)
	d.peers = func() []string { return peers }
	d.patience = patience{ask: time.Minute, stall: time.Minute, grace: time.Millisecond, fetch: time.Minute}
	s.start(t, d)
	return d
}

// sameSite is a site with the images of another one, copied as a person does.
func sameSite(t *testing.T, from site) site {
	t.Helper()
	to := newSite(t)
	to.remove(t, "images")
	if text, err := exec.CommandContext(t.Context(), "cp", "-a", from.at("images"), to.at("images")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return to
}

// fetched is what the log says when a pack came from another server, and unusable
// when it did not.
const (
	fetched  = "fetched a pack from another server"
	unusable = "another server's pack cannot be had; if no further server has it, the image is packed here"
)

// TestFetchFromPeer: a server fetches the pack that another one has made of the same
// files, and gives it on. It does not fetch that of another content.
func TestFetchFromPeer(t *testing.T) {
	one := newSite(t)
	first := one.runBeside(t, newJournal())
	made := mustKit(t, first, tiny)
	url := serveDepot(t, first, nil)

	j := newJournal()
	second := sameSite(t, one).runBeside(t, j, url)
	kit := mustKit(t, second, tiny)
	if j.times(packing) != 0 || j.times(fetched) != 1 {
		t.Errorf("packed %d times, fetched %d times", j.times(packing), j.times(fetched))
	}
	if kit.Pack != made.Pack || kit.Entries != made.Entries || kit.Bytes != made.Bytes || kit.RAMDisk != made.RAMDisk {
		t.Errorf("the kit is %+v, and that of the other server %+v", kit, made)
	}

	j = newJournal()
	third := sameSite(t, one).runBeside(t, j, serveDepot(t, second, nil))
	if mustKit(t, third, tiny); j.times(fetched) != 1 {
		t.Error("what was fetched is not given on")
	}

	j = newJournal()
	other := sameSite(t, one)
	other.put(t, "images/tiny/sbin/init", []byte("INIT"))
	kit = mustKit(t, other.runBeside(t, j, url), tiny)
	if j.times(packing) != 1 || j.times(fetched)+j.times(unusable) != 0 || kit.Pack == made.Pack {
		t.Errorf("another content: packed %d times, fetched %d times", j.times(packing), j.times(fetched))
	}
}

// TestBadPeers: whatever another server does, the image is packed here, the log says
// why, and nothing of what came stays.
func TestBadPeers(t *testing.T) {
	one := newSite(t)
	first := one.runBeside(t, newJournal())
	made := mustKit(t, first, tiny)
	isOffer := func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, OfferPath) }
	// A whole pack, of other files.
	wrong := newSite(t)
	wrong.put(t, "images/tiny/sbin/init", []byte("a trap"))
	trap := mustKit(t, wrong.runBeside(t, newJournal()), tiny)
	if err := os.Link(filepath.Join(wrong.at("depot"), "files", strings.TrimPrefix(trap.Pack.Digest, "sha256:")), first.Path(trap.Pack.Digest)); err != nil {
		t.Fatal(err)
	}
	sendRange := func(w http.ResponseWriter, text []byte) {
		w.Header().Set("Content-Range", "bytes 0-"+strconv.Itoa(len(text)-1)+"/"+strconv.Itoa(len(text)))
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(http.StatusPartialContent)
	}
	for name, c := range map[string]struct {
		spoil    func(w http.ResponseWriter, r *http.Request, text []byte) bool
		patience patience
	}{
		"offers the pack of other files": {spoil: func(w http.ResponseWriter, r *http.Request, text []byte) bool {
			if isOffer(r) {
				json.NewEncoder(w).Encode(pack.Ref(trap.Pack))
				return true
			}
			return false
		}},
		"sends other bytes": {spoil: func(w http.ResponseWriter, r *http.Request, text []byte) bool {
			if isOffer(r) {
				return false
			}
			sendRange(w, text)
			for i := range text[100:200] { // one bit may be one of those that zstd does not look at
				text[100+i] ^= 0xff
			}
			w.Write(text)
			return true
		}},
		"offers a pack that is too large": {spoil: func(w http.ResponseWriter, r *http.Request, text []byte) bool {
			json.NewEncoder(w).Encode(pack.Ref{Digest: made.Pack.Digest, Size: 1 << 40})
			return true
		}},
		"answers without an end": {spoil: func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(strings.Repeat(" ", 4096))); err != nil {
					break
				}
			}
			return true
		}},
		"dies in the middle": {spoil: func(w http.ResponseWriter, r *http.Request, text []byte) bool {
			if isOffer(r) {
				return false
			}
			sendRange(w, text)
			w.Write(text[:len(text)/2])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
		"hangs before the answer": {spoil: func(_ http.ResponseWriter, r *http.Request, _ []byte) bool {
			<-r.Context().Done()
			return true
		}, patience: patience{ask: time.Millisecond}},
		"hangs in the middle": {spoil: func(w http.ResponseWriter, r *http.Request, text []byte) bool {
			if isOffer(r) {
				return false
			}
			sendRange(w, text)
			w.Write(text[:len(text)/2])
			http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return true
		}, patience: patience{stall: time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			j, two := newJournal(), sameSite(t, one)
			d := two.open(t, j)
			peer := serveDepot(t, first, c.spoil)
			d.peers = func() []string { return []string{peer} }
			d.patience = patience{ask: time.Minute, stall: time.Minute, grace: time.Millisecond, fetch: time.Minute}
			if c.patience.ask > 0 {
				d.patience.ask = c.patience.ask
			}
			if c.patience.stall > 0 {
				d.patience.stall = c.patience.stall
			}
			two.start(t, d)
			kit := mustKit(t, d, tiny)
			if j.times(packing) != 1 || j.times(fetched) != 0 || j.times(unusable) != 1 || kit.Pack != made.Pack {
				t.Errorf("packed %d times, fetched %d, said why %d times", j.times(packing), j.times(fetched), j.times(unusable))
			}
			if _, err := os.Stat(d.Path(trap.Pack.Digest)); err == nil {
				t.Error("the pack of other files was kept")
			}
		})
	}
}
