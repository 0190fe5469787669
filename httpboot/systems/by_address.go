package systems

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"cloudlets/httpboot/requests"
	"cloudlets/provision"
)

// What is here knows machines by their addresses, for any form of metadata that clouds
// have. The paths and headers of one are in its own file, such as ec2.go.

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
