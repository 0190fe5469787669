package wire

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"cloudlets/provision"
)

// Params are the agent's words on the kernel command line.
type Params struct {
	// Servers are the base URLs of the servers that can install the machine: first
	// the one that booted it, then others that share its store.
	Servers []string
	// Token claims the plan, once.
	Token string
	// MAC is the interface that the machine booted from.
	MAC provision.MAC
	// OnFailure is "wait" (the default), "reboot" or "poweroff".
	OnFailure string
	// Ask is the base URL of the server that tells all other parameters, except what to
	// do if that fails. It is "" unless the command line is the same for all machines.
	Ask string
	// Rescue says that the agent shall start a rescue system in memory. Its token claims
	// no plan, see [RescueRequest].
	Rescue bool
	// Live says that the agent shall start the machine's system in memory. Its token claims
	// no plan, see [LiveRequest].
	Live bool
	// Inspect says that the agent shall only look at the machine, and say what it found.
	Inspect bool
}

// TrustFile is the file of a RAM disk with the certificate, in PEM form, of the
// authority that the agent trusts. There is one where a server has HTTPS.
//
// It is in the RAM disk and not on the command line, which has not room for a
// certificate: a digest there would have to be compared with a chain that the server
// sends. A signature of the RAM disk covers it, too.
const TrustFile = "/etc/cloudlets/authority.pem"

// The names of the agent's words.
const (
	paramServer  = "cloudlets.server"
	paramToken   = "cloudlets.token"
	paramMAC     = "cloudlets.mac"
	paramFailure = "cloudlets.onfailure"
	paramAsk     = "cloudlets.ask"
	paramInspect = "cloudlets.inspect"
	paramRescue  = "cloudlets.rescue"
	paramLive    = "cloudlets.memory"
)

// Cmdline renders the words for a kernel command line.
func (p Params) Cmdline() string {
	words := []string{paramAsk + "=" + p.Ask}
	if p.Ask == "" {
		words = []string{paramServer + "=" + strings.Join(p.Servers, ","), paramMAC + "=" + string(p.MAC), paramToken + "=" + p.Token}
	}
	if p.Inspect {
		words = append(words, paramInspect+"=1")
	}
	if p.Rescue {
		words = append(words, paramRescue+"=1")
	}
	if p.Live {
		words = append(words, paramLive+"=1")
	}
	if p.OnFailure != "" {
		words = append(words, paramFailure+"="+p.OnFailure)
	}
	return strings.Join(words, " ")
}

// ParseParams reads the agent's words from a kernel command line. Other words
// are the kernel's; of a word that comes twice the last one counts.
func ParseParams(cmdline string) (Params, error) {
	var p Params
	var mac string
	for word := range strings.FieldsSeq(cmdline) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case paramServer:
			p.Servers = strings.Split(value, ",")
		case paramToken:
			p.Token = value
		case paramMAC:
			mac = value
		case paramFailure:
			p.OnFailure = value
		case paramInspect:
			p.Inspect = value == "1"
		case paramRescue:
			p.Rescue = value == "1"
		case paramLive:
			p.Live = value == "1"
		case paramAsk:
			p.Ask = value
		}
	}
	return p, p.check(mac)
}

func (p *Params) check(mac string) error {
	if p.Ask != "" {
		*p = Params{Ask: p.Ask, OnFailure: p.OnFailure}
		return errors.Join(checkServer(paramAsk, p.Ask), p.checkOnFailure())
	}
	var errs []error
	if len(p.Servers) == 0 {
		errs = append(errs, errors.New(paramServer+" is missing"))
	}
	for _, server := range p.Servers {
		if err := checkServer(paramServer, server); err != nil {
			errs = append(errs, err)
		}
	}
	if p.Token == "" {
		errs = append(errs, errors.New(paramToken+" is missing"))
	}
	if err := p.checkOnFailure(); err != nil {
		errs = append(errs, err)
	}
	var err error
	if p.MAC, err = provision.ParseMAC(mac); err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", paramMAC, err))
	}
	if len(errs) > 0 {
		return fmt.Errorf("kernel command line: %w (it has to come from the boot script of a cloudlets server)", errors.Join(errs...))
	}
	return nil
}

func (p *Params) checkOnFailure() error {
	if !slices.Contains([]string{"", "wait", "reboot", "poweroff"}, p.OnFailure) {
		return fmt.Errorf("%s=%q is none of wait, reboot and poweroff", paramFailure, p.OnFailure)
	}
	return nil
}

// checkServer refuses a word whose value is not the base URL of a server.
func checkServer(word, base string) error {
	if u, err := url.Parse(base); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fmt.Errorf("%s: %q is no http URL", word, base)
	}
	return nil
}
