package dhcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Vendor classes (option 60) by which boot clients and servers know each other.
const (
	classPXE  = "PXEClient"
	classHTTP = "HTTPClient"
)

// maxFile is the longest boot file name that fits one option 67 with its NUL.
const maxFile = 254

// maxHeaderFile is the longest name that fits the header's file field.
const maxHeaderFile = 127

// step is the point of the boot conversation that an answer belongs to.
type step uint8

const (
	proxyOffer step = iota // OFFER without an address
	bootServer             // ACK on port 4011, or to a boot-server request
	withLease              // OFFER or ACK that also gives the address
)

// form is the boot part of an answer: what a kind of firmware has to find in
// a packet to take the file from it.
type form struct {
	class    string // option 60
	vendor   []byte // option 43
	ipxe     []byte // option 175
	next     netip.Addr
	tftpName string // sname, the TFTP server as text
	option66 string
	file     string
	reason   string
}

// formOf is the table of firmware: which form of answer boots which client.
// Its error says why the client shall not boot.
func formOf(req Request, id Identity, boot Boot, s step) (form, error) {
	if err := bootable(req.Client, boot); err != nil {
		return form{}, err
	}
	tftp := id.TFTP
	if !tftp.IsValid() {
		tftp = id.Addr
	}
	f := form{class: classPXE, next: tftp, tftpName: tftp.String(), file: boot.File}
	switch c := req.Client; c.Kind {
	case OwnIPXE:
		f.reason = "script for our iPXE"
	case HTTPBoot:
		// EDK2 drops an offer that does not echo its own class.
		f.class, f.reason = classHTTP, c.Firmware.String()+" HTTP Boot, URL"
	case IPXE:
		// With option 43 present this iPXE resolves no relative name.
		f.vendor, f.file = direct(), absolute(boot.File, tftp)
		f.reason = "stock iPXE, absolute URL"
	default:
		f.forPXE(c.Firmware, id, boot, s)
	}
	if s == withLease && (req.Client.Kind == IPXE || req.Client.Kind == OwnIPXE) {
		// Nobody else answers here: spares iPXE its wait for a proxy.
		f.ipxe = []byte{ipxeNoProxyDHCP, 1, 1}
	}
	return f, nil
}

// bootable says why a client must not boot, or cannot boot what it shall.
func bootable(c Client, boot Boot) error {
	switch {
	case boot.File == "" && boot.Reason == "":
		return errors.New("nothing to boot")
	case boot.File == "":
		return fmt.Errorf("nothing to boot: %s", boot.Reason)
	case len(boot.File) > maxFile || strings.ContainsRune(boot.File, 0):
		return fmt.Errorf("boot file name of %d bytes does not fit a DHCP answer, at most %d do and none may be NUL: shorten it", len(boot.File), maxFile)
	case c.Kind == HTTPBoot && !strings.HasPrefix(boot.File, "http://") && !strings.HasPrefix(boot.File, "https://"):
		return fmt.Errorf("HTTP Boot takes only an http or https URL, and %q is none: give one for this client", boot.File)
	}
	return nil
}

// forPXE fills in what PXE ROMs and UEFI's own PXE stack want.
func (f *form) forPXE(fw Firmware, id Identity, boot Boot, s step) {
	switch {
	case fw == RaspberryPi:
		// The ROM looks for this very menu, and reads option 66.
		f.vendor = encapsulate(
			suboption{pxeDiscoveryControl, []byte{skipDiscovery}},
			suboption{pxeBootMenu, []byte("\x00\x00\x11Raspberry Pi Boot")},
			suboption{pxeMenuPrompt, []byte("\x00PXE")})
		f.option66 = f.tftpName
		f.reason = "Raspberry Pi, boot menu"
	case fw == BIOS:
		f.vendor, f.reason = direct(), "BIOS PXE, file in one step"
	case s == bootServer:
		f.reason = fw.String() + " PXE, file in the second step"
	case s == proxyOffer && !boot.OneStep:
		// An offer with neither option 43 nor file makes UEFI come to
		// port 4011 (a "BINL" offer). Newer firmware drops the others.
		*f = form{class: classPXE, next: id.Addr, reason: fmt.Sprintf("%s PXE, sent to port %d", fw, BootPort)}
	default:
		f.vendor, f.reason = direct(), fw.String()+" PXE, file in one step"
	}
}

// direct is the option 43 of an answer whose file is taken as it is.
func direct() []byte {
	return encapsulate(suboption{pxeDiscoveryControl, []byte{skipDiscovery}})
}

// absolute makes a TFTP name a URL.
func absolute(file string, tftp netip.Addr) string {
	if strings.Contains(file, "://") {
		return file
	}
	return "tftp://" + tftp.String() + "/" + strings.TrimPrefix(file, "/")
}

// apply writes the form into a packet. The file goes into the header, which
// is all that some loaders read, and NUL-terminated into option 67, which
// UEFI prefers and a ROM was once seen to read past its end.
func (f form) apply(p *dhcpv4.DHCPv4) {
	p.ServerIPAddr = net.IP(f.next.AsSlice())
	p.ServerHostName = f.tftpName
	setOption(p, dhcpv4.OptionClassIdentifier, []byte(f.class))
	setOption(p, optVendor, f.vendor)
	setOption(p, optIPXE, f.ipxe)
	setOption(p, dhcpv4.OptionTFTPServerName, []byte(f.option66))
	if f.file == "" {
		return
	}
	if len(f.file) <= maxHeaderFile {
		p.BootFileName = f.file
	}
	setOption(p, dhcpv4.OptionBootfileName, append([]byte(f.file), 0))
}

func setOption(p *dhcpv4.DHCPv4, code dhcpv4.OptionCode, value []byte) {
	if len(value) > 0 {
		p.UpdateOption(dhcpv4.OptGeneric(code, value))
	}
}
