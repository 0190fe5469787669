package keys

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// PowerSettings say how machines are switched on.
type PowerSettings struct {
	// Stagger is the time between two machines that are switched on, so that the
	// breaker of their rack holds; nil means [DefaultStagger].
	Stagger *time.Duration
}

// Spacing returns the time between two machines that are switched on.
func (p PowerSettings) Spacing() time.Duration {
	if p.Stagger == nil {
		return DefaultStagger
	}
	return *p.Stagger
}

const (
	// DefaultStagger is the time between two machines that are switched on, unless
	// cloudlets.json has another one.
	DefaultStagger = time.Second
	maxStagger     = 10 * time.Minute
)

// powerSettingsField reads how machines are switched on.
func powerSettingsField() field[Settings] {
	table := fields[PowerSettings]{
		"stagger": textField(setStagger).says("The time between two machines that are switched on.", "one second", `"2s"`),
	}
	return objectField(func(s *Settings) *PowerSettings { return &s.Power }, table)
}

func setStagger(p *PowerSettings, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > maxStagger {
		return fmt.Errorf("%q is not a time between two machines; want one up to 10m, such as \"2s\", or \"0s\" to switch on all at once", text)
	}
	p.Stagger = &d
	return nil
}

// setPower reads how a machine is switched. A profile may have a part of it, so
// [checkPower] looks at the whole.
func setPower(s *provision.Spec, n *jsontext.Node) jsontext.Problems {
	s.Power = &provision.Power{}
	return decodeObject(s.Power, n, powerFields())
}

var powerFields = sync.OnceValue(func() fields[provision.Power] {
	return fields[provision.Power]{
		"redfish":      textField(setRedfish).says("The URL of the machine's management controller, which speaks Redfish.", `""`, `"https://10.9.0.14"`),
		"ipmi":         textField(setIPMI).says("The address of the machine's management controller, which speaks IPMI 2.0.", `""`, `"10.9.0.14"`),
		"wakeOnLAN":    boolField(func(p *provision.Power, v bool) { p.WakeOnLAN = v }).says("Whether the machine's network cards wake it.", `false`, `true`),
		"command":      listField(wordsOf(func(p *provision.Power) *[]string { return &p.Command })).says("A program of yours that switches the machine, with its arguments.", `[]`, `["/usr/local/bin/pdu", "--outlet", "7"]`),
		"console":      listField(wordsOf(func(p *provision.Power) *[]string { return &p.Console })).says("A program of yours that shows the machine's console, with its arguments.", `[]`, `["/usr/bin/ssh", "-tt", "admin@10.9.0.14", "console"]`),
		"user":         plainText(func(p *provision.Power) *string { return &p.User }).says("The user at the controller.", `""`, `"admin"`),
		"passwordFile": textField(func(p *provision.Power, v string) error { p.PasswordFile = v; return checkInSite(v) }).says("A file with the user's password; a relative path is one in the site.", `""`, `"secrets/node14"`),
		"passwordEnv":  textField(setPasswordEnv).says("The variable in the server's environment that has the password, instead of a file.", `""`, `"BMC_PASSWORD"`),
		"certificate":  textField(setCertificate).says("The certificate that the controller must show: its fingerprint, or a file in PEM form.", "one that the server's system trusts", `"secrets/bmc.pem"`),
		"insecure":     boolField(func(p *provision.Power, v bool) { p.Insecure = v }).says("Whether any certificate is accepted, and plain HTTP.", `false`, `true`),
		"system":       plainText(func(p *provision.Power) *string { return &p.System }).says("The machine's Id, where one controller has several.", "the only one", `"437XR1138R2"`),
	}
})

// checkPower refuses keys that do not go together.
func checkPower(p *provision.Power) error {
	if p == nil {
		return nil
	}
	ways := 0
	for _, given := range []bool{p.Redfish != "", p.IPMI != "", p.WakeOnLAN, len(p.Command) > 0} {
		if given {
			ways++
		}
	}
	kind := p.Kind()
	hasUser := p.User != "" || p.PasswordFile != "" || p.PasswordEnv != ""
	switch {
	case ways > 1:
		return errors.New(`it has more than one of "redfish", "ipmi", "wakeOnLAN" and "command": leave one`)
	case p.PasswordFile != "" && p.PasswordEnv != "":
		return errors.New(`it has both "passwordFile" and "passwordEnv": leave one`)
	case (kind == "redfish" || kind == "ipmi") && p.User == "":
		return errors.New(`"user" is missing: want the user of the management controller, with "passwordFile" or "passwordEnv" for the password`)
	case (kind == "redfish" || kind == "ipmi") && p.PasswordFile == "" && p.PasswordEnv == "":
		return errors.New(`there is no password: name a file that has it as "passwordFile", or a variable of the server's environment as "passwordEnv"`)
	case (kind == "wakeOnLAN" || kind == "command") && hasUser:
		return fmt.Errorf(`"user" and passwords are for "redfish" and "ipmi", and not for %q: leave them out`, kind)
	case kind != "" && kind != "redfish" && (p.Certificate != "" || p.Insecure || p.System != ""):
		return fmt.Errorf(`"certificate", "insecure" and "system" are for "redfish", and not for %q: leave them out`, kind)
	case p.Certificate != "" && p.Insecure:
		return errors.New(`with "insecure" any certificate is accepted, and "certificate" says nothing: leave one of them out`)
	case strings.HasPrefix(p.Redfish, "http:") && !p.Insecure:
		return errors.New(`plain HTTP shows the password to the network: want https, or add "insecure": true`)
	case len(p.Command) > 0 && !path.IsAbs(p.Command[0]):
		return fmt.Errorf(`the program %q has no absolute path: want one such as "/usr/local/bin/pdu"`, p.Command[0])
	case len(p.Console) > 0 && !path.IsAbs(p.Console[0]):
		return fmt.Errorf(`the program %q for the console has no absolute path: want one such as "/usr/bin/ssh"`, p.Console[0])
	}
	return nil
}

func setRedfish(p *provision.Power, text string) error {
	p.Redfish = text
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New(`that is not the URL of a management controller; want one such as "https://10.9.0.14"`) // it may hold a password, so it is not shown
	case u.User != nil:
		return errors.New(`a URL is no place for a user and a password: write them as "user" and "passwordFile"`)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%q has a path; want the host alone, such as %q: Redfish is always at /redfish/v1", text, u.Scheme+"://"+u.Host)
	}
	return nil
}

func setIPMI(p *provision.Power, text string) error {
	p.IPMI = text
	if text == "" {
		return nil
	}
	host := text
	if h, port, err := net.SplitHostPort(text); err == nil {
		host = h
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("%q is not a UDP port; want 1 to 65535, such as 623", port)
		}
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if err := checkHostname(host); err != nil || host == "" {
		return fmt.Errorf("%q is not the address of a management controller; want one such as \"10.9.0.14\" or \"10.9.0.14:623\"", text)
	}
	return nil
}

// maxWords bounds the arguments of a command.
const maxWords = 64

// wordsOf reads the words of a command.
func wordsOf(of func(*provision.Power) *[]string) func(*provision.Power, string) error {
	return func(p *provision.Power, text string) error {
		words := of(p)
		if len(*words) == maxWords {
			return fmt.Errorf("a command can have at most %d arguments", maxWords)
		}
		*words = append(*words, text)
		if strings.ContainsRune(text, 0) {
			return errors.New("a program's argument cannot hold a NUL character")
		}
		return nil
	}
}

func setPasswordEnv(p *provision.Power, name string) error {
	p.PasswordEnv = name
	for i, r := range name {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return errors.New(`that is not the name of a variable; want one such as "BMC_PASSWORD", which the server has in its environment`) // somebody may have written the password here
		}
	}
	return nil
}

// fingerprintPrefix begins a fingerprint of a certificate.
const fingerprintPrefix = "sha256:"

func setCertificate(p *provision.Power, text string) error {
	p.Certificate = text
	digits, isFingerprint := strings.CutPrefix(text, fingerprintPrefix)
	if !isFingerprint {
		return checkInSite(text)
	}
	if sum, err := hex.DecodeString(strings.ReplaceAll(digits, ":", "")); err != nil || len(sum) != 32 {
		return fmt.Errorf("%q is not a SHA-256 fingerprint; want sha256: and 64 hexadecimal digits, as `openssl x509 -noout -fingerprint -sha256` prints them", text)
	}
	return nil
}

// checkInSite refuses a path that leads out of the site, unless it is absolute: that
// is what the person meant then.
func checkInSite(file string) error {
	if hasControl(file) {
		return checkPlain(file)
	}
	if clean := path.Clean(file); file != "" && !path.IsAbs(file) && (clean == ".." || strings.HasPrefix(clean, "../") || clean == ".") {
		return fmt.Errorf("%q leads out of the site: want a file in it, such as \"secrets/node14\", or an absolute path", file)
	}
	return nil
}
