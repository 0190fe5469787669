package keys

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"cloudlets/images/jsontext"
)

// HTTPSSettings say how machines are served by HTTPS. The zero value means not at
// all.
type HTTPSSettings struct {
	// Port is where the server listens, on the same hosts as for HTTP; 0 means that
	// there is no HTTPS.
	Port int
	// Firmware says that all UEFI firmware gets https URLs, so that all of it must
	// trust the authority. Otherwise this is said in machines' files, see
	// [provision.Spec.HTTPS].
	Firmware bool
	// Generation counts the site's own authorities, from 1. With the next number
	// the server's certificates come from another authority.
	Generation int
	// Cert and Key are files in PEM form with a certificate of somebody else's
	// making, and CA is the file with what machines trust then. If they are "", the
	// site's own authority makes the certificates. Paths that are relative in the
	// file are relative to the site, and are absolute here.
	Cert, Key, CA string
}

// On says whether there is HTTPS.
func (h HTTPSSettings) On() bool { return h.Port != 0 }

const (
	defaultHTTPSPort = 443
	// maxGeneration bounds the number of an authority.
	maxGeneration = 1_000_000
)

// httpsField reads true, false, or an object.
func httpsField(site string) field[Settings] {
	table := fields[HTTPSSettings]{
		"port":       numberField("a number of a TCP port", setHTTPSPort).says("Where the server listens.", strconv.Itoa(defaultHTTPSPort), `8443`),
		"firmware":   boolField(func(h *HTTPSSettings, v bool) { h.Firmware = v }).says("Whether all UEFI firmware gets https URLs, and must trust the authority.", `false`, `true`),
		"generation": numberField("a number from 1", setGeneration).says("The number of the site's own authority; the next number makes another one.", "the first", `2`),
		"cert":       folderField(site, func(h *HTTPSSettings) *string { return &h.Cert }).says("A file in PEM form with a certificate of your own for the server.", `""`, `"tls/server.pem"`),
		"key":        folderField(site, func(h *HTTPSSettings) *string { return &h.Key }).says("The file with its private key.", `""`, `"tls/server.key"`),
		"ca":         folderField(site, func(h *HTTPSSettings) *string { return &h.CA }).says("The file with the certificate that machines trust.", `""`, `"tls/ca.pem"`),
	}
	return valueField("true, false, or object", func(dst *Settings, n *jsontext.Node) jsontext.Problems {
		https := HTTPSSettings{Port: defaultHTTPSPort}
		if on, isBool := n.Bool(); isBool {
			if dst.HTTPS = (HTTPSSettings{}); on {
				https.Generation = 1
				dst.HTTPS = https
			}
			return nil
		}
		if !n.IsObject() {
			return Wants(n, "true, false or an object {…}")
		}
		problems := decodeObject(&https, n, table)
		if len(problems) == 0 {
			problems = refused(n, https.check())
		}
		https.Generation = cmp.Or(https.Generation, 1)
		dst.HTTPS = https
		return problems
	}).with(table.keys(HTTPSSettings{Port: defaultHTTPSPort}))
}

// check refuses settings that do not go together.
func (h HTTPSSettings) check() error {
	given := 0
	for _, name := range []string{h.Cert, h.Key, h.CA} {
		if name != "" {
			given++
		}
	}
	switch {
	case given != 0 && given != 3:
		return errors.New(`a certificate of your own takes three files: "cert" and "key" for the server, and as "ca" the certificate that machines trust (of a self-signed one, the same file as "cert")`)
	case given != 0 && h.Generation != 0:
		return errors.New(`"generation" counts the server's own authorities, and with "cert" there is none: leave one of them out`)
	}
	return nil
}

func setHTTPSPort(h *HTTPSSettings, number json.Number) error {
	n, err := strconv.Atoi(number.String())
	if err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("%s is not a TCP port; want 1 to 65535, such as 443", number)
	}
	h.Port = n
	return nil
}

func setGeneration(h *HTTPSSettings, number json.Number) error {
	n, err := strconv.Atoi(number.String())
	if err != nil || n < 1 || n > maxGeneration {
		return fmt.Errorf("%s is not a generation; want 1 for the first authority, 2 for the next", number)
	}
	h.Generation = n
	return nil
}
