package leases

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strings"
	"time"
)

// A lease is JSON, which package json writes and reads. That costs as much as the rest
// of a small transaction, so usual leases are written and read here, in the same bytes.
const (
	beforeAddr     = `{"Addr":"`
	beforeMAC      = `","MAC":"`
	beforeHostname = `","Hostname":"`
	beforeExpires  = `","Expires":"`
	beforeSince    = `","Since":"`
	beforeServer   = `","Server":"`
	end            = `"}`
)

// encode is the JSON of a lease.
func encode(l Record) ([]byte, error) {
	if !isUsual(l) {
		return json.Marshal(l)
	}
	b := make([]byte, 0, 128+len(l.Hostname))
	b = l.Addr.AppendTo(append(b, beforeAddr...))
	b = base64.StdEncoding.AppendEncode(append(b, beforeMAC...), l.MAC)
	b = append(append(b, beforeHostname...), l.Hostname...)
	b = l.Expires.AppendFormat(append(b, beforeExpires...), time.RFC3339Nano)
	if !l.Since.IsZero() {
		b = l.Since.AppendFormat(append(b, beforeSince...), time.RFC3339Nano)
	}
	if l.Server != "" {
		b = append(append(b, beforeServer...), l.Server...)
	}
	return append(b, end...), nil
}

// isUsual says whether a lease has nothing that JSON escapes, leaves out or refuses.
func isUsual(l Record) bool {
	return l.Addr.IsValid() && l.Addr.Zone() == "" && len(l.MAC) > 0 && isPlain(l.Hostname) &&
		isPlain(l.Server) && isUsualTime(l.Expires) && isUsualTime(l.Since)
}

func isUsualTime(t time.Time) bool {
	_, offset := t.Zone()
	return offset == 0 && 0 <= t.Year() && t.Year() <= 9999
}

// isPlain says whether text is the same in JSON.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || strings.IndexByte(`"\<>&`, c) >= 0 {
			return false
		}
	}
	return true
}

// decode reads the JSON of a lease.
func decode(value []byte, l *Record) error {
	if read, ok := decodeUsual(string(value)); ok {
		*l = read
		return nil
	}
	return json.Unmarshal(value, l)
}

// decodeUsual reads what encode writes. ok is false if it is anything else.
func decodeUsual(text string) (l Record, ok bool) {
	text, begins := strings.CutPrefix(text, beforeAddr)
	addr, text, hasMAC := strings.Cut(text, beforeMAC)
	mac, text, hasHostname := strings.Cut(text, beforeHostname)
	hostname, text, hasExpires := strings.Cut(text, beforeExpires)
	text, ends := strings.CutSuffix(text, end)
	text, server, _ := strings.Cut(text, beforeServer)
	expires, since, hasSince := strings.Cut(text, beforeSince)
	if !begins || !hasMAC || !hasHostname || !hasExpires || !ends || !isPlain(mac) || !isPlain(hostname) || !isPlain(expires) || !isPlain(since) || !isPlain(server) {
		return l, false
	}
	var err error
	if l.Addr, err = netip.ParseAddr(addr); err != nil || l.Addr.Zone() != "" {
		return l, false
	}
	if l.MAC, err = base64.StdEncoding.DecodeString(mac); err != nil {
		return l, false
	}
	if l.Expires, err = time.Parse(time.RFC3339Nano, expires); err != nil {
		return l, false
	}
	if hasSince {
		if l.Since, err = time.Parse(time.RFC3339Nano, since); err != nil {
			return l, false
		}
	}
	// Clone, so as not to keep all of the text.
	l.Hostname, l.Server = strings.Clone(hostname), strings.Clone(server)
	return l, true
}
