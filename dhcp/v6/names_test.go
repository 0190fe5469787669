package v6

import (
	"bytes"
	"net"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// bomb are domain names of some 1,500 bytes that stand for many times as much: labels of
// one byte, and then compression pointers to the first of them.
func bomb() []byte {
	return append(append(bytes.Repeat([]byte{1, 'a'}, 500), 0), bytes.Repeat([]byte{0xc0, 0}, 250)...)
}

func option(code dhcpv6.OptionCode, data []byte) dhcpv6.Option {
	return &dhcpv6.OptionGeneric{OptionCode: code, OptionData: data}
}

// within has bytes before an option that is written out.
func within(o dhcpv6.Option, before int) []byte {
	return append(make([]byte, before), (&dhcpv6.Options{o}).ToBytes()...)
}

// nested is an identity association within others.
func nested(levels int) dhcpv6.Option {
	o := option(dhcpv6.OptionIATA, make([]byte, 4))
	for range levels {
		o = option(dhcpv6.OptionIATA, within(o, 4))
	}
	return o
}

// costly are messages that would take long to read, by where the names are.
func costly() map[string]dhcpv6.DHCPv6 {
	search := option(dhcpv6.OptionDomainSearchList, bomb())
	all := map[string]dhcpv6.DHCPv6{}
	for name, o := range map[string]dhcpv6.Option{
		"a search list":                   search,
		"a short search list":             option(dhcpv6.OptionDomainSearchList, []byte{1, 'a', 0, 0xc0, 0}),
		"a long search list":              option(dhcpv6.OptionDomainSearchList, bytes.Repeat([]byte{1, 'a'}, maxNames)),
		"the client's name":               option(dhcpv6.OptionFQDN, append([]byte{0}, bomb()...)),
		"a time server's name":            option(dhcpv6.OptionNTPServer, within(option(dhcpv6.NTPSuboptionSrvFQDNCode, bomb()), 0)),
		"an identity association":         option(dhcpv6.OptionIANA, within(search, 12)),
		"an address":                      option(dhcpv6.OptionIANA, within(option(dhcpv6.OptionIAAddr, within(search, 24)), 12)),
		"a temporary address":             option(dhcpv6.OptionIATA, within(search, 4)),
		"a prefix":                        option(dhcpv6.OptionIAPD, within(option(dhcpv6.OptionIAPrefix, within(search, 25)), 12)),
		"4rd":                             option(dhcpv6.Option4RD, within(search, 0)),
		"options nested without end":      nested(200),
		"a message in a client's message": option(dhcpv6.OptionRelayMsg, within(search, 4)),
	} {
		all[name] = asks(dhcpv6.MessageTypeSolicit, o)
	}
	relay := &dhcpv6.RelayMessage{MessageType: dhcpv6.MessageTypeRelayForward, LinkAddr: net.ParseIP("fd77::9"), PeerAddr: net.ParseIP("fe80::1")}
	relay.AddOption(dhcpv6.OptRelayMessage(all["a search list"]))
	all["a relay agent's message"] = relay
	return all
}

// TestCostlyNames: a packet whose names would take long to read is refused before it is
// read, wherever they are. Usual names are read.
func TestCostlyNames(t *testing.T) {
	for name, m := range costly() {
		if _, err := Parse(m.ToBytes(), linkLocal(card)); err == nil {
			t.Errorf("names in %s were read", name)
		}
	}
	// The parser would read on behind an option that says to be longer than the packet.
	cut := append(asks(dhcpv6.MessageTypeSolicit).ToBytes(), 0, 99, 0xff, 0xff)
	cut = append(cut, within(option(dhcpv6.OptionDomainSearchList, bomb()), 0)...)
	if err := checkNames(cut, 0); err == nil {
		t.Error("names behind an option that is cut short were read")
	}
	usual := asks(dhcpv6.MessageTypeSolicit, option(dhcpv6.OptionFQDN, []byte("\x00\x02n1\x03lab\x00")),
		option(dhcpv6.OptionDomainSearchList, []byte("\x03lab\x00\x07example\x00")))
	if c := Classify(arrive(t, usual)); c.Hostname != "n1.lab" {
		t.Errorf("the client's name is %q", c.Hostname)
	}
}
