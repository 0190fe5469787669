package systems

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"cloudlets/httpboot/requests"
	"cloudlets/images/lazyregexp"
	"cloudlets/provision"
	"cloudlets/provision/cloudinit"
)

// The headers of Amazon's metadata service, version 2.
const (
	tokenHeader    = "X-Aws-Ec2-Metadata-Token"
	tokenTTLHeader = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
	maxTokenTTL    = 21600 // seconds, which is Amazon's bound
)

// ec2Path matches the paths of the metadata service: a version and what it has. All
// versions have the same here.
var ec2Path = lazyregexp.New(`^/(?:latest|1\.0|20\d\d-\d\d-\d\d)(?:/(.*))?$`)

// Metadata serves the paths of Amazon's metadata service, and nothing else.
func (s *Systems) Metadata() http.Handler {
	return requests.Clean(s.WithEC2(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this address has only the metadata of machines, at /latest/meta-data/ and /latest/user-data", http.StatusNotFound)
	})))
}

// WithEC2 serves the paths of Amazon's metadata service, and all others by next.
func (s *Systems) WithEC2(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if found := ec2Path().FindStringSubmatch(r.URL.Path); found != nil {
			s.ec2(w, r, found[1])
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ec2 answers a machine that is known by its address.
func (s *Systems) ec2(w http.ResponseWriter, r *http.Request, path string) {
	card, spec, ok := s.asker(w, r)
	if !ok {
		return
	}
	switch {
	case path == "api/token" && r.Method == http.MethodPut:
		s.giveToken(w, r, spec)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "the metadata service is only read", http.StatusMethodNotAllowed)
		return
	case len(r.Header.Values(tokenHeader)) > 0 && !s.isToken(r.Header.Get(tokenHeader), spec.MAC, requests.RemoteAddr(r), time.Now()):
		http.Error(w, "the token is not valid any more, or another machine's: get a new one", http.StatusUnauthorized)
		return
	}
	state := s.Machines.State(spec.MAC)
	system := state.Told()
	if state.Live != nil {
		system = state.Live
	}
	if system == nil {
		system = state.Writing
	}
	i, err := s.instance(spec, system, requests.RemoteAddr(r))
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	i.MAC = card
	text, found := i.EC2().Get(path)
	if !found {
		http.Error(w, "there is no such metadata", http.StatusNotFound)
		return
	}
	requests.ServeSecret(w, []byte(text))
	if path == cloudinit.UserData && r.Method == http.MethodGet {
		s.Machines.Record(r.Context(), provision.Event{MAC: spec.MAC, Kind: provision.KindHTTP, Text: "its system asked what it is told, by the paths of EC2"})
	}
}

// asker returns the card that a request comes from, and its machine, by its address: that
// of a lease, or else the one that a file reserves. It never guesses, since the answer may
// have secrets. If no machine has the address, or its file has another datasource, asker
// answers the request itself and returns false.
func (s *Systems) asker(w http.ResponseWriter, r *http.Request) (provision.MAC, *provision.Spec, bool) {
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "Via"} {
		if len(r.Header.Values(name)) > 0 {
			// A proxy on a machine would give away what that machine is told.
			http.Error(w, "a machine asks for its metadata itself, and not by way of a proxy", http.StatusForbidden)
			return "", nil, false
		}
	}
	addr := requests.RemoteAddr(r)
	var card provision.MAC
	held := false
	if s.Holder != nil {
		var err error
		if card, held, err = s.Holder(r.Context(), addr); err != nil {
			s.sayUntold("the metadata of a machine cannot be served now", "address", addr, "error", err)
			http.Error(w, "who has this address cannot be found out now: ask again", http.StatusServiceUnavailable)
			return "", nil, false
		}
	}
	if !held {
		card, _ = s.Machines.Site.ByAddress(addr)
	}
	if card != "" {
		if spec := s.Machines.Spec(card); spec != nil && spec.CloudInit != nil && spec.CloudInit.From().ByAddress() {
			return card, spec, true
		}
	}
	s.sayUntold(`no machine whose "cloudInit" has the datasource "ec2" or "image" has this address by a lease of this server's DHCP or by its file, so its question for metadata had no answer`, "address", addr, "card", card, "path", requests.Printable(r.URL.Path))
	http.Error(w, "there is no metadata for this address; the server's log says why", http.StatusNotFound)
	return "", nil, false
}

// sayUntold logs why somebody got no metadata: one line a second, since anyone can ask.
func (s *Systems) sayUntold(text string, args ...any) {
	if s.refusals.Take(time.Now(), 1) {
		s.Machines.Logger().Info(text, args...)
	}
}

// giveToken gives a machine a token of version 2. It is good for this machine at this
// address, on every server of the site, and none keeps it.
func (s *Systems) giveToken(w http.ResponseWriter, r *http.Request, spec *provision.Spec) {
	seconds, err := strconv.Atoi(r.Header.Get(tokenTTLHeader))
	if err != nil || seconds < 1 || seconds > maxTokenTTL {
		http.Error(w, fmt.Sprintf("%s: want 1 to %d", tokenTTLHeader, maxTokenTTL), http.StatusBadRequest)
		return
	}
	w.Header().Set(tokenTTLHeader, strconv.Itoa(seconds))
	requests.ServeSecret(w, []byte(s.metadataToken(spec.MAC, requests.RemoteAddr(r), time.Now().Add(time.Duration(seconds)*time.Second).Unix())))
}

// metadataToken is a token that is good until a time.
func (s *Systems) metadataToken(mac provision.MAC, at netip.Addr, until int64) string {
	mark := hmac.New(sha256.New, s.Machines.Tracker.Key())
	fmt.Fprintf(mark, "metadata %s %s %d", mac, at, until)
	return base64.URLEncoding.EncodeToString(mark.Sum(binary.BigEndian.AppendUint64(nil, uint64(until))))
}

func (s *Systems) isToken(token string, mac provision.MAC, at netip.Addr, now time.Time) bool {
	raw, err := base64.URLEncoding.DecodeString(strings.TrimSpace(token))
	if err != nil || len(raw) < 8 {
		return false
	}
	until := int64(binary.BigEndian.Uint64(raw))
	return now.Unix() < until && hmac.Equal([]byte(token), []byte(s.metadataToken(mac, at, until)))
}
