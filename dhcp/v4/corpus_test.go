package v4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/ether"
	"cloudlets/dhcp/serving"
	"cloudlets/testdata/needs"
)

// dhcpd is ISC's server, as make setup-test unpacks it.
const dhcpd = "../../bin/isc-dhcp/usr/sbin/dhcpd"

// differences is the page whose table says where the servers differ, and why.
const differences = "../../docs/dhcp.md"

// corpusPacket is a packet that is put to all servers.
type corpusPacket struct {
	name string
	from netip.AddrPort
	raw  []byte
}

// mutations are what is wrong with packets of clients and of others.
var mutations = map[string]func(b []byte) []byte{
	"without End":               dhcptest.WithoutEnd,
	"an option is cut off":      func(b []byte) []byte { return append(dhcptest.WithoutEnd(b), 12, 9, 'a') },
	"no cookie":                 func(b []byte) []byte { b[236] = 0; return b },
	"options are missing":       func(b []byte) []byte { return b[:240] },
	"a reply":                   func(b []byte) []byte { b[0] = 2; return b },
	"hardware address of 0":     func(b []byte) []byte { b[2] = 0; return b },
	"hardware address of 16":    func(b []byte) []byte { b[2] = 16; return b },
	"hardware address of 255":   func(b []byte) []byte { b[2] = 255; return b },
	"InfiniBand":                func(b []byte) []byte { b[1], b[2] = 32, 0; copy(b[28:44], make([]byte, 16)); return b },
	"zeros as address":          func(b []byte) []byte { copy(b[28:44], make([]byte, 16)); return b },
	"unknown message type":      func(b []byte) []byte { return withMessageType(b, 99) },
	"a FORCERENEW":              func(b []byte) []byte { return withMessageType(b, 9) },
	"wants broadcast":           func(b []byte) []byte { b[10] |= 0x80; return b },
	"wants no broadcast":        func(b []byte) []byte { b[10] &^= 0x80; return b },
	"many hops":                 func(b []byte) []byte { b[3] = 17; return b },
	"an address of elsewhere":   func(b []byte) []byte { return withOptions(b, 50, 4, 192, 0, 2, 1) },
	"an empty hostname":         func(b []byte) []byte { return withOptions(b, 12, 0) },
	"message size of 1":         func(b []byte) []byte { return withOptions(b, 57, 2, 0, 1) },
	"an unknown architecture":   func(b []byte) []byte { return withOptions(b, 93, 2, 0xff, 0xff) },
	"options in the file field": func(b []byte) []byte { copy(b[108:], []byte{12, 1, 'f', 255}); return withOptions(b, 52, 1, 1) },
}

// withOptions adds options at the end of those that are there.
func withOptions(b []byte, options ...byte) []byte {
	return append(append(dhcptest.WithoutEnd(b), options...), 255)
}

// withMessageType replaces the value of option 53, which is the first one in the captures.
func withMessageType(b []byte, t byte) []byte {
	if i := bytes.Index(b[240:], []byte{53, 1}); i >= 0 {
		b[240+i+2] = t
	}
	return b
}

// corpus is what is put to all servers, each packet with a transaction of its own.
func corpus(t *testing.T) (all []corpusPacket) {
	add := func(name string, from netip.AddrPort, raw []byte) {
		binary.BigEndian.PutUint32(raw[4:], uint32(0x0dd00000+len(all)))
		all = append(all, corpusPacket{name, from, raw})
	}
	for _, s := range dhcptest.Samples(t) {
		if s.Req.Port != dhcp.ServerPort || dhcp.ToAddr(s.Req.Packet.GatewayIPAddr).IsValid() {
			continue // only this server listens there, and relays are not on this network
		}
		add(s.Name, s.Req.Source, bytes.Clone(s.Raw))
	}
	for _, name := range []string{"udhcpc-discover", "bios-pxe-discover", "plain-inform"} {
		s := dhcptest.SampleNamed(t, name)
		for _, what := range slices.Sorted(maps.Keys(mutations)) {
			add(name+", "+what, s.Req.Source, mutations[what](bytes.Clone(s.Raw)))
		}
	}
	inform := dhcptest.SampleNamed(t, "plain-inform")
	for _, from := range []string{"10.77.0.9:68", "0.0.0.0:68"} {
		raw := bytes.Clone(inform.Raw)
		copy(raw[12:16], make([]byte, 4))
		add("plain-inform, no address, from "+from, netip.MustParseAddrPort(from), raw)
	}
	return all
}

// TestCorpus puts real and broken packets to three servers. Each difference stands in
// the table of docs/dhcp.md, with its reason.
func TestCorpus(t *testing.T) {
	dhcptest.Need(t, "dnsmasq", "dnsmasq-base")
	needs.Made(t, dhcpd, "setup-test")
	packets := corpus(t)
	answers := map[string][]string{}
	for _, server := range []string{"cloudlets", "dnsmasq", "ISC"} {
		t.Run(server, func(t *testing.T) { answers[server] = ask(t, server, packets) })
	}
	if t.Failed() {
		return
	}
	text, err := os.ReadFile(differences)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) == 7 {
			known[strings.Join(cells[1:5], "|")] = true
		}
	}
	for i, p := range packets {
		ours, dnsmasq, isc := answers["cloudlets"][i], answers["dnsmasq"][i], answers["ISC"][i]
		if ours == dnsmasq && ours == isc {
			continue
		}
		row := fmt.Sprintf(" %s | %s | %s | %s ", p.name, ours, dnsmasq, isc)
		if !known[row] {
			t.Errorf("a difference that is not in %s:\n|%s| why |", differences, row)
		}
		delete(known, row)
	}
	for row := range known {
		if cells := strings.Split(row, "|"); !strings.Contains(row, "---") && strings.TrimSpace(cells[0]) != "packet" {
			t.Errorf("%s has a difference that there is not: |%s|", differences, row)
		}
	}
}

// ask puts packets to one server in namespaces of its own, and returns what became of
// each.
func ask(t *testing.T, server string, packets []corpusPacket) (answers []string) {
	w := dhcptest.NewWire(t)
	dhcptest.Run(t, "ip", "-n", w.Server, "addr", "flush", "dev", "eth0")
	dhcptest.Run(t, "ip", "-n", w.Server, "addr", "add", "10.77.0.1/24", "dev", "eth0")
	dhcptest.Run(t, "ip", "-n", w.Client, "addr", "add", "10.77.0.9/24", "dev", "eth0")
	pool := dhcp.Range{First: netip.MustParseAddr("10.77.0.100"), Last: netip.MustParseAddr("10.77.0.199")}
	var exchanges <-chan dhcp.Exchange
	switch server {
	case "cloudlets":
		exchanges = serve(t, w.Server, Interface{Network: dhcp.Network{Pool: dhcp.Ranges{pool}}})
	case "dnsmasq":
		startForeign(t, w.Server, "sockets bound exclusively to interface", "dnsmasq", "--no-daemon", "--port=0", "--conf-file=/dev/null",
			"--user=root", "--interface=eth0", "--bind-interfaces", "--no-ping", "--log-dhcp", "--dhcp-authoritative",
			"--dhcp-vendorclass=set:boot,PXEClient", "--dhcp-vendorclass=set:boot,HTTPClient", "--dhcp-vendorclass=set:boot,U-Boot", "--dhcp-boot=tag:boot,undionly.kpxe", "--dhcp-range=10.77.0.100,10.77.0.199", "--dhcp-leasefile="+filepath.Join(t.TempDir(), "leases"))
	case "ISC":
		dir := t.TempDir()
		config, leases := filepath.Join(dir, "conf"), filepath.Join(dir, "leases")
		text := "authoritative; ping-check false;\nsubnet 10.77.0.0 netmask 255.255.255.0 { range 10.77.0.100 10.77.0.199; }\n" +
			"if option vendor-class-identifier ~= \"^((PXE|HTTP)Client|U-Boot)\" { filename \"undionly.kpxe\"; }\n"
		if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(leases, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		startForeign(t, w.Server, "Server starting service", dhcpd, "-4", "-d", "-f", "-cf", config, "-lf", leases, "-pf", filepath.Join(dir, "pid"), "eth0")
	}
	err := dhcptest.Inside(w.Client, func() error {
		sock, err := ether.OpenFrames("eth0", dhcp.ClientPort)
		if err != nil {
			return err
		}
		defer sock.Close()
		f := corpusClient{sock}
		for i, p := range packets {
			answer, err := f.put(p, exchanges, i)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			answers = append(answers, answer)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// startForeign runs a server of another make, and waits until its log says that it
// serves.
func startForeign(t *testing.T, ns, ready string, args ...string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := exec.Command("ip", append([]string{"netns", "exec", ns}, args...)...)
	c.Stderr, c.Stdout = file, file
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	waitForText(t, log, ready)
}

// everywhere is the address of all stations of a network.
var everywhere = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// corpusClient puts packets to a server.
type corpusClient struct{ *ether.Frames }

// put sends a packet and says what is answered. The foreign servers take packets in
// order: if a later packet was answered and this one was not, it never is. Ours says
// itself what it did.
func (f corpusClient) put(p corpusPacket, exchanges <-chan dhcp.Exchange, n int) (string, error) {
	if err := f.send(p.from, p.raw); err != nil {
		return "", err
	}
	var last []byte
	if exchanges == nil {
		sentinel, err := dhcpv4.NewDiscovery(net.HardwareAddr{2, 0xdd, 0, 0, 0, 1}, dhcpv4.WithBroadcast(true))
		if err != nil {
			return "", err
		}
		binary.BigEndian.PutUint32(sentinel.TransactionID[:], uint32(0x5e000000+n))
		if err := f.send(netip.MustParseAddrPort("0.0.0.0:68"), sentinel.ToBytes()); err != nil {
			return "", err
		}
		last = sentinel.TransactionID[:]
	} else if _, err := dhcp.Parse(p.raw); err != nil {
		return "silence", nil
	} else if e := <-exchanges; e.Reply == "" {
		return "silence", nil
	}
	if err := f.SetReadDeadline(time.Now().Add(dhcptest.Patience)); err != nil {
		return "", err
	}
	buf := make([]byte, serving.MaxPacket)
	for {
		n, _, to, err := f.Receive(buf, dhcp.ClientPort)
		if err != nil {
			return "", err
		}
		payload := buf[:n]
		if n < 240 {
			continue
		}
		switch xid := payload[4:8]; {
		case bytes.Equal(xid, last):
			return "silence", nil
		case bytes.Equal(xid, p.raw[4:8]):
			return describeAnswer(payload, to), nil
		}
	}
}

func (f corpusClient) send(from netip.AddrPort, raw []byte) error {
	to := netip.AddrPortFrom(everywhere, dhcp.ServerPort)
	return f.SendTo(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, from, to, raw)
}

// describeAnswer says of what type an answer is, whether it gives an address and a
// file, and whether all stations hear it.
func describeAnswer(payload []byte, to netip.Addr) string {
	p, err := dhcpv4.FromBytes(payload)
	if err != nil {
		return "an answer that cannot be read"
	}
	words := []string{p.MessageType().String()}
	if p.BootFileName != "" || p.Options.Has(dhcpv4.OptionBootfileName) {
		words = append(words, "file")
	}
	if to == everywhere {
		words = append(words, "to all")
	}
	return strings.Join(words, ", ")
}
