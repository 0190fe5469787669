package dhcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Vendor classes (option 60) by which boot clients and servers recognise each
// other.
const (
	ClassPXE   = "PXEClient"
	ClassHTTP  = "HTTPClient"
	classUBoot = "U-Boot" // and the architecture: "U-Boot.armv8"
)

// maxFile is the longest boot file name, in bytes, that fits one option 67 with
// its NUL.
const maxFile = 254

// maxHeaderFile is the longest name, in bytes, that fits the header's file
// field with its NUL.
const maxHeaderFile = 127

// step says which point of the boot conversation a reply belongs to.
type step uint8

const (
	proxyOffer step = iota // OFFER without an address
	bootServer             // ACK on port 4011, or to a boot-server request
	withLease              // OFFER or ACK that also gives the address
)

// bootOptions is the boot part of a reply: what a kind of firmware must find
// in a packet before it loads the file.
type bootOptions struct {
	class    string     // option 60
	vendor   []byte     // option 43
	ipxe     []byte     // option 175
	next     netip.Addr // siaddr: the server to load from
	tftpName string     // sname: the TFTP server as text
	option66 string     // the TFTP server again, for firmware that reads it here
	file     string     // the header's file field and option 67
	reason   string     // for the trace
}

// chooseBootOptions decides which options boot a client. Its error says why
// the client must not boot.
func chooseBootOptions(req Request, id Identity, boot Boot, s step) (bootOptions, error) {
	if err := checkBootable(req.Client, boot); err != nil {
		return bootOptions{}, err
	}
	if req.Client.Firmware == UBoot && s != withLease {
		// It would ask for the address 0.0.0.0 that a proxy offers.
		return bootOptions{}, errors.New("U-Boot takes each offer for one of an address, so a proxy must not answer it: let the network's DHCP server name this server as next-server (siaddr)")
	}
	tftp := id.TFTP
	if !tftp.IsValid() {
		tftp = id.Addr
	}
	o := bootOptions{class: ClassPXE, next: tftp, tftpName: tftp.String(), file: boot.File}
	switch c := req.Client; c.Kind {
	case OwnIPXE:
		o.reason = "script for our iPXE"
	case HTTPBoot:
		// EDK2 drops an offer that does not echo its own class.
		o.class, o.reason = ClassHTTP, c.Firmware.String()+" HTTP Boot, URL"
	case IPXE:
		// If option 43 is there, this iPXE cannot resolve a relative name.
		o.vendor, o.file = skipDiscoveryOption(), tftpURL(boot.File, tftp)
		o.reason = "stock iPXE, absolute URL"
	default:
		o.setForPXE(c.Firmware, id, boot, s)
	}
	if s == withLease && req.Client.isIPXE() {
		o.ipxe = waitForNoProxy() // none answers on this network
	}
	return o, nil
}

// isIPXE says whether a client is an iPXE of any kind.
func (c Client) isIPXE() bool { return c.Kind == IPXE || c.Kind == OwnIPXE }

// waitForNoProxy is iPXE's option by which it does not wait some seconds for a proxy.
func waitForNoProxy() []byte { return []byte{ipxeNoProxyDHCP, 1, 1} }

// checkBootable returns an error if a client has nothing to boot, or cannot
// boot what it was given.
func checkBootable(c Client, boot Boot) error {
	switch {
	case boot.File == "" && boot.Reason == "":
		return errors.New("nothing to boot")
	case boot.File == "":
		return fmt.Errorf("nothing to boot: %s", boot.Reason)
	case len(boot.File) > maxFile || strings.ContainsRune(boot.File, 0):
		return fmt.Errorf("boot file name of %d bytes does not fit a DHCP answer: it may have at most %d bytes, and no NUL", len(boot.File), maxFile)
	case c.Kind == HTTPBoot && !strings.HasPrefix(boot.File, "http://") && !strings.HasPrefix(boot.File, "https://"):
		return fmt.Errorf("HTTP Boot takes only an http or https URL, and %q is not one: name a URL for this client", boot.File)
	}
	return nil
}

// setForPXE sets what PXE ROMs and UEFI's own PXE stack need.
func (o *bootOptions) setForPXE(fw Firmware, id Identity, boot Boot, s step) {
	switch {
	case fw == RaspberryPi:
		// The ROM looks for exactly this menu, and reads option 66.
		o.vendor = encapsulate(
			suboption{pxeDiscoveryControl, []byte{skipDiscovery}},
			suboption{pxeBootMenu, []byte("\x00\x00\x11Raspberry Pi Boot")},
			suboption{pxeMenuPrompt, []byte("\x00PXE")})
		o.option66 = o.tftpName
		o.reason = "Raspberry Pi, boot menu"
	case fw == UBoot:
		o.class, o.reason = "", "U-Boot, file in the header"
	case fw == BIOS:
		o.vendor, o.reason = skipDiscoveryOption(), "BIOS PXE, file in one step"
	case s == bootServer:
		o.reason = fw.String() + " PXE, file in the second step"
	case s == proxyOffer && !boot.OneStep:
		// An offer without option 43 and without a file sends UEFI to port
		// 4011 (a "BINL" offer). Newer firmware drops other proxy offers.
		*o = bootOptions{class: ClassPXE, next: id.Addr, reason: fmt.Sprintf("%s PXE, sent to port %d", fw, BootPort)}
	default:
		o.vendor, o.reason = skipDiscoveryOption(), fw.String()+" PXE, file in one step"
	}
}

// skipDiscoveryOption is the option 43 that makes a client load the reply's
// file at once.
func skipDiscoveryOption() []byte {
	return encapsulate(suboption{pxeDiscoveryControl, []byte{skipDiscovery}})
}

// tftpURL turns a TFTP name into a URL, and leaves URLs as they are.
func tftpURL(file string, tftp netip.Addr) string {
	if strings.Contains(file, "://") {
		return file
	}
	return "tftp://" + tftp.String() + "/" + strings.TrimPrefix(file, "/")
}

// apply writes the options into a packet. The file name goes into the header,
// since some loaders read nothing else, and into option 67, which UEFI prefers.
// There a NUL ends it, since a ROM was seen to read past the option's end.
func (o bootOptions) apply(p *dhcpv4.DHCPv4) {
	p.ServerIPAddr = net.IP(o.next.AsSlice())
	p.ServerHostName = o.tftpName
	setOption(p, dhcpv4.OptionClassIdentifier, []byte(o.class))
	setOption(p, optVendor, o.vendor)
	setOption(p, optIPXE, o.ipxe)
	setOption(p, dhcpv4.OptionTFTPServerName, []byte(o.option66))
	if o.file == "" {
		return
	}
	if len(o.file) <= maxHeaderFile {
		p.BootFileName = o.file
	}
	setOption(p, dhcpv4.OptionBootfileName, append([]byte(o.file), 0))
}

// setOption sets an option, unless its value is empty.
func setOption(p *dhcpv4.DHCPv4, code dhcpv4.OptionCode, value []byte) {
	if len(value) > 0 {
		p.UpdateOption(dhcpv4.OptGeneric(code, value))
	}
}
