package leases

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"cloudlets/dhcp"
)

// A lease is JSON, which package json writes and reads. That costs as much as the rest
// of a small transaction, so usual leases are written and read here, in the same bytes.
const (
	beforeAddr     = `{"Addr":"`
	beforeMAC      = `","MAC":"`
	beforeHostname = `","Hostname":"`
	beforeExpires  = `","Expires":"`
	end            = `"}`
)

// encode is the JSON of a lease.
func encode(l dhcp.Lease) ([]byte, error) {
	if !isUsual(l) {
		return json.Marshal(l)
	}
	b := make([]byte, 0, 128+len(l.Hostname))
	b = l.Addr.AppendTo(append(b, beforeAddr...))
	b = base64.StdEncoding.AppendEncode(append(b, beforeMAC...), l.MAC)
	b = append(append(b, beforeHostname...), l.Hostname...)
	b = l.Expires.AppendFormat(append(b, beforeExpires...), time.RFC3339Nano)
	return append(b, end...), nil
}

// isUsual says whether a lease has nothing that JSON escapes, leaves out or refuses.
func isUsual(l dhcp.Lease) bool {
	_, offset := l.Expires.Zone()
	year := l.Expires.Year()
	return l.Addr.IsValid() && l.Addr.Zone() == "" && len(l.MAC) > 0 && isPlain(l.Hostname) &&
		offset == 0 && 0 <= year && year <= 9999
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
func decode(value []byte, l *dhcp.Lease) error {
	if read, ok := decodeUsual(string(value)); ok {
		*l = read
		return nil
	}
	return json.Unmarshal(value, l)
}

// decodeUsual reads what encode writes. ok is false if it is anything else.
func decodeUsual(text string) (l dhcp.Lease, ok bool) {
	text, begins := strings.CutPrefix(text, beforeAddr)
	addr, text, hasMAC := strings.Cut(text, beforeMAC)
	mac, text, hasHostname := strings.Cut(text, beforeHostname)
	hostname, text, hasExpires := strings.Cut(text, beforeExpires)
	expires, ends := strings.CutSuffix(text, end)
	if !begins || !hasMAC || !hasHostname || !hasExpires || !ends || !isPlain(mac) || !isPlain(hostname) || !isPlain(expires) {
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
	l.Hostname = strings.Clone(hostname) // and not all of the text with it
	return l, true
}
