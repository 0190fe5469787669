package httpboot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	packag "pack.ag/tftp"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/provision"
	"cloudlets/tftp"
)

// firmwares are the platforms with the numbers by which they call themselves
// (RFC 4578 and IANA's registry), over PXE and over HTTP.
var firmwares = []struct {
	is        dhcp.Firmware
	pxe, http []uint16
	served    bool // Debian or the assets folder has a loader for it
}{
	{dhcp.BIOS, []uint16{0}, nil, true},
	{dhcp.EFIIA32, []uint16{6}, []uint16{15}, true},
	{dhcp.EFIX64, []uint16{7, 9}, []uint16{16}, true},
	{dhcp.EFIARM32, []uint16{10}, []uint16{18}, true},
	{dhcp.EFIARM64, []uint16{11}, []uint16{19}, true},
	{dhcp.RaspberryPi, []uint16{0}, nil, true},
	{dhcp.UBoot, []uint16{22}, nil, true},
}

// imageFor is the image of the machines that have a firmware.
func imageFor(is dhcp.Firmware) string {
	switch is {
	case dhcp.EFIARM64, dhcp.RaspberryPi, dhcp.UBoot:
		return arm64Image
	}
	return "web"
}

var kinds = []dhcp.Kind{dhcp.OwnIPXE, dhcp.HTTPBoot, dhcp.IPXE, dhcp.PXE}

var quirks = map[string]provision.Quirks{
	"plain":    {},
	"bootFile": {BootFile: "special.efi"},
	"oneStep":  {OneStep: true},
	"both":     {BootFile: "ipxe.efi", OneStep: true},
}

// netboot is one client as the contract sees it.
type netboot struct {
	mac  net.HardwareAddr
	kind dhcp.Kind
	arch uint16
	http bool // an iPXE that can fetch by HTTP
}

// TestContract holds the promise between DHCP and what is served: every file
// that a reply names can be had, whatever the client, and every client that
// shall boot is named one.
func TestContract(t *testing.T) {
	b := newBed(t, nil)
	b.addARM64()
	b.addPiFirmware()
	b.kit(node1)
	b.change(node1, func(s *provision.Spec) { s.Image = arm64Image })
	b.kit(node1)
	files := startTFTP(t, b.Chain)
	for _, fw := range firmwares {
		for _, kind := range kinds {
			for name, quirk := range quirks {
				for _, mode := range []dhcp.Mode{dhcp.Pool, dhcp.Proxy} {
					for _, client := range clientsOf(fw.is, fw.pxe, fw.http, kind) {
						t.Run(fmt.Sprintf("%s/%s/arch%d/http=%t/%s/%s", fw.is, kind, client.arch, client.http, name, mode), func(t *testing.T) {
							mac, err := provision.MACFrom(client.mac)
							must(t, err)
							b.change(mac, func(s *provision.Spec) { s.Quirks, s.Image = quirk, imageFor(fw.is) })
							named := b.conversation(t, client, mode, files)
							script := client.kind == dhcp.OwnIPXE || client.kind == dhcp.IPXE && client.http
							silent := fw.is == dhcp.UBoot && mode == dhcp.Proxy                           // it would take our offer for one of an address
							served := fw.served && (fw.is != dhcp.RaspberryPi || client.kind == dhcp.PXE) // a Pi has no iPXE
							if expect := !silent && (served || quirk.BootFile != "" || script); expect != (named > 0) {
								t.Errorf("%d replies name a file; want one: %t", named, expect)
							}
						})
					}
				}
			}
		}
	}
}

// TestContractForTheDisk is the same promise for machines that are sent to
// their own disks. A stranger is named nothing.
func TestContractForTheDisk(t *testing.T) {
	b := newBed(t, nil)
	files := startTFTP(t, b.Chain)
	for _, fw := range firmwares {
		for _, kind := range kinds {
			for _, mode := range []dhcp.Mode{dhcp.Pool, dhcp.Proxy} {
				for _, client := range clientsOf(fw.is, fw.pxe, fw.http, kind) {
					mac, err := provision.MACFrom(client.mac)
					must(t, err)
					b.forget(mac)
					if named := b.conversation(t, client, mode, files); named > 0 {
						t.Errorf("a stranger (%s %s) is named %d files", fw.is, kind, named)
					}
					b.change(mac, func(s *provision.Spec) { s.InstallOnce = false })
					b.conversation(t, client, mode, files)
				}
			}
		}
	}
	if story := b.trace(node1); strings.Contains(story, "boots kernel") {
		t.Errorf("a machine that is not armed was given a kernel:\n%s", story)
	}
}

// TestContractForTheOwnDisk is the same promise for a machine that this server has installed.
func TestContractForTheOwnDisk(t *testing.T) {
	b := newInstalledBed(t, espGUID)
	files := startTFTP(t, b.Chain)
	programs := 0
	for _, fw := range firmwares {
		for _, kind := range kinds {
			for _, mode := range []dhcp.Mode{dhcp.Pool, dhcp.Proxy} {
				for _, client := range clientsOf(fw.is, fw.pxe, fw.http, kind) {
					if mac, err := provision.MACFrom(client.mac); err == nil && mac == node1 {
						b.conversation(t, client, mode, files)
						if boot := b.Boot(t.Context(), dhcp.Client{MAC: client.mac, Kind: kind, Firmware: fw.is}); strings.Contains(boot.File, "/own-disk/") {
							programs++
						}
					}
				}
			}
		}
	}
	if programs == 0 {
		t.Error("no firmware is named the program that starts the disk")
	}
}

// clientsOf are the clients of a kind that a firmware can have.
func clientsOf(is dhcp.Firmware, pxe, http []uint16, kind dhcp.Kind) (list []netboot) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}
	if is == dhcp.RaspberryPi {
		mac = net.HardwareAddr{0xb8, 0x27, 0xeb, 0, 0, 1}
	}
	if is == dhcp.UBoot && kind != dhcp.PXE {
		return nil // it takes no other loader's place
	}
	archs := pxe
	if kind == dhcp.HTTPBoot {
		archs = http
	}
	for _, arch := range archs {
		list = append(list, netboot{mac, kind, arch, kind == dhcp.OwnIPXE})
		if kind == dhcp.IPXE {
			list = append(list, netboot{mac, kind, arch, true})
		}
	}
	return list
}

// conversation asks as a client does, in all steps that there may be, and
// fetches each file that is named. It returns how many were.
func (b *bed) conversation(t *testing.T, n netboot, mode dhcp.Mode, files *tftpClient) (named int) {
	t.Helper()
	for _, step := range []struct {
		message dhcpv4.MessageType
		port    uint16
	}{
		{dhcpv4.MessageTypeDiscover, dhcp.ServerPort}, {dhcpv4.MessageTypeRequest, dhcp.ServerPort}, {dhcpv4.MessageTypeRequest, dhcp.BootPort},
	} {
		reply := b.answer(n.packet(t, step.message), step.port, mode)
		if reply.File == "" {
			if reply.Reason == "" {
				t.Errorf("%s: no file, and no reason", step.message)
			}
			continue
		}
		named++
		if url := string(bytes.TrimRight(reply.Packet.Options.Get(dhcpv4.OptionBootfileName), "\x00")); url != reply.File {
			t.Errorf("option 67 names %q, the reply is said to name %q", url, reply.File)
		}
		b.fetchNamed(t, n, reply, files)
	}
	return named
}

// answer is the server's reply to one packet.
func (b *bed) answer(p *dhcpv4.DHCPv4, port uint16, mode dhcp.Mode) dhcp.Reply {
	client := dhcp.Classify(p)
	own := netip.MustParseAddr("127.0.0.1")
	identity := dhcp.Identity{Addr: own, TFTP: b.TFTP, Network: dhcp.Network{Mode: mode, Subnet: netip.MustParsePrefix("127.0.0.0/8")}}
	grant := dhcp.Grant{}
	if mode == dhcp.Pool {
		grant = dhcp.Grant{Verdict: dhcp.Granted, Addr: netip.MustParseAddr("127.0.0.9"), Term: time.Hour, Reason: "granted"}
	}
	request := dhcp.Request{Packet: p, Client: client, Port: port, Source: netip.AddrPortFrom(own, dhcp.ClientPort)}
	reply := dhcp.Answer(request, identity, grant, b.Boot(b.t.Context(), client))
	b.SawExchange(dhcp.Exchange{Client: client, File: reply.File, Reason: reply.Reason})
	return reply
}

// packet is what such a client sends.
func (n netboot) packet(t *testing.T, message dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	t.Helper()
	class := fmt.Sprintf("PXEClient:Arch:%05d:UNDI:003016", n.arch)
	switch {
	case n.kind == dhcp.HTTPBoot:
		class = fmt.Sprintf("HTTPClient:Arch:%05d:UNDI:003016", n.arch)
	case n.arch == 21:
		class = "U-Boot.armv7"
	case n.arch == 22:
		class = "U-Boot.armv8"
	}
	options := []dhcpv4.Modifier{
		dhcpv4.WithHwAddr(n.mac), dhcpv4.WithMessageType(message),
		dhcpv4.WithGeneric(dhcpv4.OptionClientSystemArchitectureType, []byte{byte(n.arch >> 8), byte(n.arch)}),
		dhcpv4.WithGeneric(dhcpv4.OptionClassIdentifier, []byte(class)),
	}
	switch n.kind {
	case dhcp.OwnIPXE:
		options = append(options, dhcpv4.WithGeneric(dhcpv4.OptionUserClassInformation, []byte(dhcp.OwnUserClass)))
	case dhcp.IPXE:
		options = append(options, dhcpv4.WithGeneric(dhcpv4.OptionUserClassInformation, []byte("iPXE")))
	}
	if n.http { // option 175, iPXE's features: 19 is HTTP, 24 is bzImage
		options = append(options, dhcpv4.WithGeneric(dhcpv4.GenericOptionCode(175), []byte{19, 1, 1, 24, 1, 1}))
	}
	p, err := dhcpv4.New(options...)
	must(t, err)
	return p
}

// fetchNamed fetches the file of a reply in the way that its client would.
func (b *bed) fetchNamed(t *testing.T, n netboot, reply dhcp.Reply, files *tftpClient) {
	t.Helper()
	name := reply.File
	if rest, ok := strings.CutPrefix(name, b.Base); ok {
		b.fetchHTTP(t, n, rest)
		return
	}
	if n.kind == dhcp.HTTPBoot {
		t.Fatalf("HTTP Boot is told %q, which is no URL of this server", name)
	}
	if u, err := url.Parse(name); err == nil && u.Scheme == "tftp" {
		if u.Host != b.TFTP.String() {
			t.Fatalf("the URL %q is not of this TFTP server", name)
		}
		name = u.Path
	} else if n.kind == dhcp.IPXE {
		t.Errorf("a stock iPXE is told the relative name %q", name)
	}
	data, err := fetchTFTP(files.at, name)
	if err != nil {
		t.Fatalf("a reply names %s, and TFTP does not serve it: %v", name, err)
	}
	if _, _, ok := dialect.OwnDiskOf(name); ok && strings.HasPrefix(data, "MZ") {
		return
	}
	want := "this is " + strings.TrimPrefix(name, "/")
	if n.mac[0] == 0xb8 && path.Base(name) == dialect.PiFirmware {
		want = "this is " + dialect.PiFirmware // in the Pi's own folder
	}
	if name == dialect.UBootScript {
		want = "\x27\x05\x19\x56" // the magic number of U-Boot's images
	}
	if !strings.HasPrefix(data, want) {
		t.Errorf("%s by TFTP is %.40q", name, data)
	}
}

func (b *bed) fetchHTTP(t *testing.T, n netboot, path string) {
	t.Helper()
	if strings.HasSuffix(path, "/script") {
		if n.kind == dhcp.HTTPBoot || n.kind == dhcp.PXE {
			t.Fatalf("firmware (%s) is told an iPXE script", n.kind)
		}
		b.get(path).want(t, http.StatusOK, "#!ipxe\n")
		return
	}
	content := "this is "
	if _, _, ok := dialect.OwnDiskOf(path[1:]); ok {
		content = "MZ"
	}
	a := b.get(path).want(t, http.StatusOK, content)
	if got := a.Header.Get("Content-Type"); got != "application/efi" {
		t.Errorf("%s has the type %q", path, got)
	}
}

// startTFTP serves the chain's loaders on loopback, and has a foreign client.
func startTFTP(t *testing.T, c *Chain) *tftpClient {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	must(t, err)
	server := &tftp.Server{FS: c.BootFiles(netip.Addr{}), Conn: conn, Observe: func(x tftp.Transfer) {
		c.SawTransfer(Transfer{Remote: x.Remote.Addr(), Name: x.Name, Bytes: x.Bytes, Probe: x.Probe, Whole: x.Err == nil, Err: x.Err})
	}}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = server.Serve(ctx) })
	t.Cleanup(func() { stop(); group.Wait() })
	client, err := packag.NewClient(packag.ClientTransferSize(false))
	must(t, err)
	return &tftpClient{client, conn.LocalAddr().String()}
}

// tftpClient is a foreign client of one server, whatever port that has.
type tftpClient struct {
	*packag.Client
	at string
}

func (c *tftpClient) fetch(name string) ([]byte, error) {
	response, err := c.Get("tftp://" + c.at + "/" + strings.TrimPrefix(name, "/"))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(response)
}
