package v6

import (
	"encoding/binary"
	"fmt"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

const (
	// maxNames is the longest list of domain names in an option, in bytes: a name has at
	// most 255 (RFC 1035, 2.3.4).
	maxNames = 256
	// maxLabel is the longest label of a name, in bytes. A larger number in its place
	// starts a compression pointer.
	maxLabel = 63
	// maxDepth is how deep options may be nested: relay agents, a client, and within its
	// options two levels of theirs.
	maxDepth = maxHops + 3
	// messageHeader is the size of what comes before the options of a client's message.
	messageHeader = 4
)

// headers says which options have options in them, and how many bytes come first.
var headers = map[dhcpv6.OptionCode]int{
	dhcpv6.OptionIANA: 12, dhcpv6.OptionIATA: 4, dhcpv6.OptionIAAddr: 24,
	dhcpv6.OptionIAPD: 12, dhcpv6.OptionIAPrefix: 25, dhcpv6.Option4RD: 0,
}

// checkNames refuses a message that is expensive to read: one with domain names that are
// compressed, which RFC 8415, 10 forbids, or too long, or one whose options are nested too
// deep. Names of a few bytes can stand for very long ones by compression pointers.
func checkNames(message []byte, depth int) error {
	header := messageHeader
	if isRelay(message) {
		header = dhcpv6.RelayHeaderSize
	}
	return checkOptions(message, header, depth)
}

// isRelay says whether a message is one to or from a relay agent.
func isRelay(message []byte) bool {
	if len(message) == 0 {
		return false
	}
	t := dhcpv6.MessageType(message[0])
	return t == dhcpv6.MessageTypeRelayForward || t == dhcpv6.MessageTypeRelayReply
}

// checkOptions checks the options that follow a header.
func checkOptions(data []byte, header, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("its options are nested more than %d deep", maxDepth)
	}
	return eachOption(data, header, func(code dhcpv6.OptionCode, value []byte) error {
		inner, nests := headers[code]
		switch {
		case nests:
			return checkOptions(value, inner, depth+1)
		case code == dhcpv6.OptionRelayMsg:
			return checkNames(value, depth+1)
		case code == dhcpv6.OptionDomainSearchList:
			return checkLabels(code, value)
		case code == dhcpv6.OptionFQDN && len(value) > 0:
			return checkLabels(code, value[1:]) // flags come first (RFC 4704, 4)
		case code == dhcpv6.OptionNTPServer:
			return eachOption(value, 0, func(sub dhcpv6.OptionCode, name []byte) error {
				if sub == dhcpv6.NTPSuboptionSrvFQDNCode {
					return checkLabels(code, name)
				}
				return nil
			})
		}
		return nil
	})
}

// eachOption calls check with each option that follows a header. It refuses what is cut
// short: the parser would read on there before it does.
func eachOption(data []byte, header int, check func(dhcpv6.OptionCode, []byte) error) error {
	if len(data) < header {
		return fmt.Errorf("%d bytes are too few for a message or an option of DHCPv6", len(data))
	}
	for rest := data[header:]; len(rest) >= 4; {
		code, size := dhcpv6.OptionCode(binary.BigEndian.Uint16(rest)), int(binary.BigEndian.Uint16(rest[2:]))
		if rest = rest[4:]; size > len(rest) {
			return fmt.Errorf("its option %d is cut short", uint16(code))
		}
		if err := check(code, rest[:size]); err != nil {
			return err
		}
		rest = rest[size:]
	}
	return nil
}

// checkLabels checks the domain names of an option.
func checkLabels(code dhcpv6.OptionCode, names []byte) error {
	if len(names) > maxNames {
		return fmt.Errorf("the domain names in its option %d have more than %d bytes", uint16(code), maxNames)
	}
	for i := 0; i < len(names); i += 1 + int(names[i]) {
		if names[i] > maxLabel {
			return fmt.Errorf("a domain name in its option %d is compressed, or has a label of more than %d bytes", uint16(code), maxLabel)
		}
	}
	return nil
}
