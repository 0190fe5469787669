package v6

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"cloudlets/dhcp"
)

// maxURL is the longest boot file URL, in bytes.
const maxURL = 1024

// bootURL is the URL of option 59 that boots a client, as its kind of firmware wants
// it. The error says why the client must not boot.
func bootURL(c dhcp.Client, boot dhcp.Boot, tftp netip.Addr) (string, error) {
	switch {
	case boot.File == "" && boot.Reason == "":
		return "", errors.New("nothing to boot")
	case boot.File == "":
		return "", fmt.Errorf("nothing to boot: %s", boot.Reason)
	case len(boot.File) > maxURL || strings.ContainsRune(boot.File, 0):
		return "", fmt.Errorf("boot file name of %d bytes does not fit a DHCPv6 answer: it may have at most %d bytes, and no NUL", len(boot.File), maxURL)
	case c.Kind == dhcp.HTTPBoot && !strings.HasPrefix(boot.File, "http://") && !strings.HasPrefix(boot.File, "https://"):
		return "", fmt.Errorf("HTTP Boot takes only an http or https URL, and %q is not one: name a URL for this client", boot.File)
	case strings.Contains(boot.File, "://"):
		return boot.File, nil
	case !tftp.Is6():
		return "", fmt.Errorf("the TFTP server %s has no IPv6 address that the client could fetch %s from: let \"tftp\" name a port alone", tftp, boot.File)
	}
	return "tftp://[" + tftp.WithZone("").String() + "]/" + strings.TrimPrefix(boot.File, "/"), nil
}

// addBoot adds the boot file to a reply.
//
// UEFI reads the URL up to a NUL that nobody sends. So another option follows, whose
// code begins with one. HTTP Boot drops an offer that does not echo its vendor class.
// PXE loads the URL of an offer with an address at once, unless that has the vendor
// class PXEClient; one without an address counts only if it has the class.
func addBoot(p *dhcpv6.Message, c dhcp.Client, url string, m dhcp.Mode) {
	p.AddOption(dhcpv6.OptBootFileURL(url))
	class := ""
	switch {
	case c.Kind == dhcp.HTTPBoot:
		class = classHTTP
	case c.Kind == dhcp.PXE && m == dhcp.Proxy:
		class = classPXE
	}
	if class != "" {
		p.AddOption(&dhcpv6.OptVendorClass{EnterpriseNumber: enterprise, Data: [][]byte{[]byte(class)}})
	}
}
