//go:build linux

// Package drivers makes the controller that a machine's file names, with its secrets. The
// ways to reach one are the packages beside it. A new way is one more case in [Drivers.Open], and
// one more field of [provision.Power], with its name in [provision.Power.Kind] and
// [provision.Spec.At]. A new way to a console is one more case in [Drivers.Console] and in
// [provision.Power.ConsoleKind].
package drivers

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"cloudlets/provision"
	"cloudlets/provision/power"
	"cloudlets/provision/power/command"
	"cloudlets/provision/power/ipmi"
	"cloudlets/provision/power/redfish"
	"cloudlets/provision/power/wake"
)

// Drivers makes controllers of machines' files.
type Drivers struct {
	// Site is the folder of the site, where secrets with a relative path are.
	Site string
	// Getenv returns a variable of the server's environment.
	Getenv func(string) string
	// Links returns the networks that are served now, for Wake-on-LAN.
	Links func() []wake.Link
}

// Open makes the controller of a machine, and reads its secrets. It sends nothing.
// firmware is what is known of the machine's firmware, "uefi" or "bios", or "".
func (d Drivers) Open(spec *provision.Spec, firmware string) (power.Controller, error) {
	p := spec.Power
	switch p.Kind() {
	case "redfish":
		return d.redfish(spec)
	case "ipmi":
		return d.ipmi(spec, firmware)
	case "wakeOnLAN":
		return d.wake(spec)
	case "command":
		return &command.Controller{Command: p.Command, MAC: string(spec.MAC), Hostname: spec.Hostname}, nil
	}
	return nil, fmt.Errorf("%s says nothing about power: add \"power\" with \"redfish\", \"ipmi\", \"wakeOnLAN\" or \"command\"", spec.File())
}

// Console makes the way to a machine's console, and reads its secrets. It sends nothing.
func (d Drivers) Console(spec *provision.Spec) (power.Console, error) {
	switch spec.Power.ConsoleKind() {
	case "command":
		return &command.Console{Command: spec.Power.Console, MAC: string(spec.MAC), Hostname: spec.Hostname}, nil
	case "ipmi":
		return d.ipmi(spec, "")
	}
	return nil, fmt.Errorf("%s names no console: add \"power\" with \"ipmi\" or \"console\"", spec.MAC.File())
}

func (d Drivers) redfish(spec *provision.Spec) (power.Controller, error) {
	p := spec.Power
	password, err := d.password(p)
	if err != nil {
		return nil, err
	}
	trust, err := d.trust(p)
	if err != nil {
		return nil, err
	}
	return redfish.New(redfish.Config{
		URL: p.Redfish, User: p.User, Password: password, TLS: trust, System: p.System, HTTPBoot: spec.SecureBoot == provision.ByOwner,
	}), nil
}

func (d Drivers) ipmi(spec *provision.Spec, firmware string) (*ipmi.Controller, error) {
	p := spec.Power
	password, err := d.password(p)
	if err != nil {
		return nil, err
	}
	config := ipmi.Config{Host: strings.Trim(p.IPMI, "[]"), User: p.User, Password: password, UEFI: firmware == "uefi" || spec.SecureBoot != ""}
	if host, port, err := net.SplitHostPort(p.IPMI); err == nil {
		config.Host = host
		if config.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("read the port of %s: %w", p.IPMI, err)
		}
	}
	return ipmi.New(config), nil
}

func (d Drivers) wake(spec *provision.Spec) (power.Controller, error) {
	c := &wake.Controller{Links: d.Links}
	for _, mac := range append([]provision.MAC{spec.MAC}, spec.Cards...) {
		card, err := net.ParseMAC(string(mac))
		if err != nil {
			return nil, fmt.Errorf("wake %s: %w", mac, err)
		}
		c.Cards = append(c.Cards, card)
	}
	return c, nil
}

// trust returns which certificates a Redfish service may show.
func (d Drivers) trust(p *provision.Power) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	fingerprint, pinned := strings.CutPrefix(p.Certificate, "sha256:")
	switch {
	case p.Insecure:
		config.InsecureSkipVerify = true
	case pinned:
		want, err := hex.DecodeString(strings.ReplaceAll(fingerprint, ":", ""))
		if err != nil {
			return nil, fmt.Errorf("read fingerprint %s: %w", p.Certificate, err)
		}
		config.InsecureSkipVerify = true // the fingerprint says more than any authority
		config.VerifyConnection = func(s tls.ConnectionState) error {
			if sum := sha256.Sum256(s.PeerCertificates[0].Raw); !bytes.Equal(sum[:], want) {
				return fmt.Errorf("its certificate has the fingerprint sha256:%x, and not that of the machine's file: if the controller was given a new certificate, write this one as \"certificate\"", sum)
			}
			return nil
		}
	case p.Certificate != "":
		known, err := d.certificates(p.Certificate)
		if err != nil {
			return nil, err
		}
		config.InsecureSkipVerify = true // verified below: controllers have certificates without their address
		config.VerifyConnection = func(s tls.ConnectionState) error { return verify(s, known) }
	}
	return config, nil
}

// verify accepts a certificate that is known itself, and one that a known authority
// gave to the host.
func verify(s tls.ConnectionState, known []*x509.Certificate) error {
	leaf := s.PeerCertificates[0]
	if slices.ContainsFunc(known, leaf.Equal) {
		return nil
	}
	options := x509.VerifyOptions{DNSName: s.ServerName, Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool()}
	for _, c := range known {
		options.Roots.AddCert(c)
	}
	for _, c := range s.PeerCertificates[1:] {
		options.Intermediates.AddCert(c)
	}
	_, err := leaf.Verify(options)
	return err
}

// maxCertificates bounds a file with certificates, in bytes.
const maxCertificates = 1 << 20

func (d Drivers) certificates(name string) (found []*x509.Certificate, err error) {
	text, err := d.read(name, maxCertificates, false)
	if err != nil {
		return nil, fmt.Errorf("read the certificate of a Redfish service: %w", err)
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read the certificate of a Redfish service in %s: %w", name, err)
		}
		found = append(found, c)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("read the certificate of a Redfish service: %w", errors.New(name+" has none in PEM form"))
	}
	return found, nil
}
