package site

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"cloudlets/images/jsontext"
)

// Settings are what cloudlets.json says of the server itself. All of it is
// optional: where a value is zero, the server chooses.
type Settings struct {
	// Interface is the network interface to serve, "eth1".
	Interface string
	// DHCP is how addresses are given out.
	DHCP DHCPService
	// HTTP is where the boot side listens, "10.0.0.1:80" or ":8080".
	HTTP string
	// TFTP is where TFTP listens, ":69"; "off" for nowhere.
	TFTP string
	// TFTPSinglePort sends boot files from TFTP's own port, for networks
	// whose NAT or firewall lets no other through.
	TFTPSinglePort bool
	// TFTPBlockSize bounds TFTP's blocks in bytes, for networks with tunnels;
	// 0 leaves it to the MTU of the path.
	TFTPBlockSize int
	// Assets is a folder with boot binaries; State is the folder of what the
	// server keeps. Paths that are relative in the file are relative to the
	// site, and are absolute here.
	Assets, State string
	// DNS servers, Router and Domain are told to the machines.
	DNS    []netip.Addr
	Router netip.Addr
	Domain string
	// LeaseTime is how long an address is lent; 0 is the server's default.
	LeaseTime time.Duration
}

// DHCPService is how the server takes part in giving out addresses. The zero
// value says nothing about it.
type DHCPService struct {
	// Off means no DHCP at all, Proxy to add boot information beside the
	// network's own DHCP server.
	Off, Proxy bool
	// First and Last bound the addresses to give out, inclusive, where the
	// server is the network's DHCP server.
	First, Last netip.Addr
}

// ParseDHCPService reads "proxy", "off", or a range "10.0.0.100-10.0.0.200".
func ParseDHCPService(text string) (DHCPService, error) {
	switch text {
	case "off":
		return DHCPService{Off: true}, nil
	case "proxy":
		return DHCPService{Proxy: true}, nil
	}
	low, high, _ := strings.Cut(text, "-")
	first, err := parseIPv4(strings.TrimSpace(low))
	last, err2 := parseIPv4(strings.TrimSpace(high))
	if errors.Join(err, err2) != nil {
		return DHCPService{}, fmt.Errorf("read DHCP service %q: want \"proxy\", \"off\", or the addresses to give out, such as \"10.0.0.100-10.0.0.200\"", text)
	}
	if last.Less(first) {
		return DHCPService{}, fmt.Errorf("read DHCP service %q: the range ends before it begins; swap the two addresses", text)
	}
	return DHCPService{First: first, Last: last}, nil
}

// String is the form that [ParseDHCPService] reads, or "" for the zero value.
func (d DHCPService) String() string {
	switch {
	case d.Off:
		return "off"
	case d.Proxy:
		return "proxy"
	case d.First.IsValid():
		return d.First.String() + "-" + d.Last.String()
	default:
		return ""
	}
}

func settingsFields(site string) map[string]field[Settings] {
	return map[string]field[Settings]{
		"description": ignored[Settings](),
		"interface":   plainText(func(s *Settings) *string { return &s.Interface }),
		"dhcp":        textField(setDHCP),
		"http":        textField(func(s *Settings, v string) error { s.HTTP = v; return checkListen(v) }),
		"tftp":        textField(setTFTP),
		"assets":      folderField(site, func(s *Settings) *string { return &s.Assets }),
		"state":       folderField(site, func(s *Settings) *string { return &s.State }),
		"dns":         listField(addDNS),
		"router":      textField(setRouter),
		"domain":      textField(func(s *Settings, v string) error { s.Domain = v; return checkHostname(v) }),
		"leaseTime":   textField(setLeaseTime),

		"tftpSinglePort": boolField(func(s *Settings, v bool) { s.TFTPSinglePort = v }),
		"tftpBlockSize":  numberField("a number of bytes", setTFTPBlockSize),
	}
}

// decodeSettings makes Settings of cloudlets.json.
func decodeSettings(site string, root *jsontext.Node) (Settings, jsontext.Problems) {
	var s Settings
	problems := decodeObject(&s, root, settingsFields(site))
	return s, problems
}

func setDHCP(s *Settings, text string) (err error) {
	s.DHCP, err = ParseDHCPService(text)
	return err
}

func setTFTP(s *Settings, text string) error {
	s.TFTP = text
	if text == "off" {
		return nil
	}
	return checkListen(text)
}

// Bounds of a TFTP block in bytes, RFC 2348.
const (
	minTFTPBlock = 8
	maxTFTPBlock = 65464
)

func setTFTPBlockSize(s *Settings, number json.Number) error {
	n, err := strconv.Atoi(number.String())
	if err != nil || n < minTFTPBlock || n > maxTFTPBlock {
		return fmt.Errorf("%s is not a block size; want 8 to 65464 bytes, such as 1400", number)
	}
	s.TFTPBlockSize = n
	return nil
}

func checkListen(addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("%q is not an address to listen on; want host and port such as \"10.0.0.1:8080\", or \":8080\" for the address of the served interface", addr)
	}
	return nil
}

func addDNS(s *Settings, text string) error {
	addr, err := parseIPv4(text)
	s.DNS = append(s.DNS, addr)
	return err
}

func setRouter(s *Settings, text string) (err error) {
	s.Router, err = parseIPv4(text)
	return err
}

// Bounds of a lease: RFC 2131 counts seconds in 32 bits, and leases shorter
// than a minute make the network busy with renewals.
const (
	minLease = time.Minute
	maxLease = 365 * 24 * time.Hour
)

func setLeaseTime(s *Settings, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < minLease || d > maxLease {
		return fmt.Errorf("%q is not a lease time; want one between 1m and 8760h, such as \"12h\"", text)
	}
	s.LeaseTime = d
	return nil
}

func folderField(site string, to func(*Settings) *string) field[Settings] {
	return textField(func(s *Settings, folder string) error {
		if folder != "" && !filepath.IsAbs(folder) {
			folder = filepath.Join(site, folder)
		}
		*to(s) = folder
		return nil
	})
}
