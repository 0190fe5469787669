package systems

import (
	"fmt"
	"net/http"
	"strconv"
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
