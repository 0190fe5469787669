package keys

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"cloudlets/images/jsontext"
)

// optionKind is how the value of a DHCP option is written.
type optionKind uint8

const (
	guessed optionKind = iota // an address or several, or else a text
	text
	addrs
	uint8s  // a number of one byte
	uint16s // of two bytes
	uint32s // of four bytes
	flag    // true or false
)

// dhcpOptions are the options that have a name (RFC 2132, RFC 3397, RFC 4833, RFC
// 5859).
var dhcpOptions = map[string]struct {
	code uint8
	kind optionKind
}{
	"time-offset": {2, uint32s}, "log-servers": {7, addrs}, "lpr-servers": {9, addrs},
	"root-path": {17, text}, "ip-forwarding": {19, flag}, "default-ttl": {23, uint8s}, "interface-mtu": {26, uint16s},
	"static-routes": {33, addrs}, "nis-domain": {40, text}, "nis-servers": {41, addrs},
	"netbios-name-servers": {44, addrs}, "netbios-node-type": {46, uint8s}, "smtp-server": {69, addrs},
	"posix-timezone": {100, text}, "tz-database": {101, text}, "tftp-server-address": {150, addrs}, "wpad": {252, text},
}

// setOptions reads an object of options, by name or by number.
func setOptions(n *Network, node *jsontext.Node) (problems jsontext.Problems) {
	if !node.IsObject() {
		return Wants(node, `an object of options, such as {"interface-mtu": 1500, "150": "10.0.0.1"}`)
	}
	for _, m := range node.Members() {
		code, kind, err := optionNamed(m.Name)
		var value []byte
		if err == nil {
			value, err = optionValue(kind, m.Value)
		}
		if err == nil && (len(value) == 0 || len(value) > 255) {
			err = errors.New("want a value of 1 to 255 bytes")
		}
		problems = append(problems, refused(m.Value, err)...)
		n.Options = append(n.Options, DHCPOption{code, value})
	}
	return problems
}

func optionNamed(name string) (uint8, optionKind, error) {
	if known, ok := dhcpOptions[name]; ok {
		return known.code, known.kind, nil
	}
	code, err := strconv.ParseUint(name, 10, 8)
	if err != nil {
		names := make([]string, 0, len(dhcpOptions))
		for known := range dhcpOptions {
			names = append(names, known)
		}
		return 0, guessed, fmt.Errorf("%q is no DHCP option that is known by name%s; or give its number, such as \"150\"", name, jsontext.DidYouMean(name, names))
	}
	if ownOptions[uint8(code)] {
		return 0, guessed, fmt.Errorf("the server itself decides about option %d; \"router\", \"dns\", \"ntp\", \"domain\", \"leaseTime\" and the machine's file say what is in such options", code)
	}
	for _, known := range dhcpOptions {
		if known.code == uint8(code) {
			return known.code, known.kind, nil
		}
	}
	return uint8(code), guessed, nil
}

// ownOptions are those that the DHCP server itself decides about.
var ownOptions = func() map[uint8]bool {
	own := map[uint8]bool{}
	for _, code := range []uint8{0, 1, 3, 6, 12, 15, 28, 42, 43, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 66, 67, 77, 82, 93, 94, 97, 118, 175, 255} {
		own[code] = true
	}
	return own
}()

// optionValue makes the bytes of an option. A text that begins with "hex:" has them
// as they are.
func optionValue(kind optionKind, n *jsontext.Node) ([]byte, error) {
	if number, ok := n.Number(); ok {
		return numberValue(kind, number)
	}
	if value, ok := n.Bool(); ok && kind == flag {
		if value {
			return []byte{1}, nil
		}
		return []byte{0}, nil
	}
	if n.IsArray() && (kind == addrs || kind == guessed) {
		var all []byte
		for _, element := range n.Elements() {
			one, _ := element.Text()
			addr, err := parseIPv4(one)
			if err != nil {
				return nil, err
			}
			all = append(all, addr.AsSlice()...)
		}
		return all, nil
	}
	value, ok := n.Text()
	if !ok {
		return nil, fmt.Errorf("%s is no value of this option; want a text, an address or a list of addresses, a number, or \"hex:…\"", n.Show())
	}
	if digits, isHex := strings.CutPrefix(value, "hex:"); isHex {
		return hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	}
	addr, err := parseIPv4(value)
	switch {
	case err == nil && (kind == addrs || kind == guessed):
		return addr.AsSlice(), nil
	case kind == text || kind == guessed:
		return []byte(value), checkPlain(value)
	}
	return nil, fmt.Errorf("%q is no value of this option; want an address, a number, true or false, or \"hex:…\", as the option has it", value)
}

// numberValue writes a number in the option's own size, in network byte order.
func numberValue(kind optionKind, number json.Number) ([]byte, error) {
	size := map[optionKind]int{uint8s: 1, uint16s: 2, uint32s: 4}[kind]
	if size == 0 {
		return nil, fmt.Errorf("how many bytes the number %s has is not known for this option; write them as \"hex:…\"", number)
	}
	v, err := strconv.ParseInt(number.String(), 10, 64)
	if err != nil || v >= 1<<(8*size) || v < -(1<<(8*size-1)) {
		return nil, fmt.Errorf("%s is no whole number of %d bytes", number, size)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(v >> (8 * (size - 1 - i)))
	}
	return b, nil
}
