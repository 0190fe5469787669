//go:build long

package bed_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"cloudlets/testdata/bed"
	"cloudlets/testdata/needs"
)

// keaExample is the configuration of kea-dhcp6 in docs/dhcp.md.
var keaExample = regexp.MustCompile("(?s)```json\n(\\{\"Dhcp6\".*?)```")

// keaConfig is that example, with files in a directory of the test.
func (r *rig) keaConfig(leases string) []byte {
	r.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "dhcp.md"))
	if err != nil {
		r.Fatal(err)
	}
	example := keaExample.FindSubmatch(text)
	if example == nil {
		r.Fatal("docs/dhcp.md has no configuration of kea-dhcp6")
	}
	var config struct{ Dhcp6 object }
	if err := json.Unmarshal(example[1], &config); err != nil {
		r.Fatal(err)
	}
	config.Dhcp6["lease-database"] = object{"type": "memfile", "name": leases}
	config.Dhcp6["server-id"] = object{"type": "LL", "persist": false}
	config.Dhcp6["loggers"] = []object{{"name": "kea-dhcp6", "severity": "INFO", "output_options": []object{{"output": "stdout", "flush": true}}}}
	made, err := json.Marshal(config)
	if err != nil {
		r.Fatal(err)
	}
	return made
}

// kea6 gives addresses by DHCPv6, on a host of its own. It returns the file of its leases.
func (r *rig) kea6() (leases string) {
	r.Helper()
	program, err := filepath.Abs(needs.Made(r.TB, "../../bin/kea/usr/sbin/kea-dhcp6", "bin/kea"))
	if err != nil {
		r.Fatal(err)
	}
	host, done, err := r.network.Leg(r.ctx, "52:54:00:00:00:fc")
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(done)
	for _, args := range [][]string{
		// Kea opens no socket while its address may be another host's, too.
		{"ip", "link", "set", "eth0", "addrgenmode", "none"},
		{"ip", "-6", "addr", "flush", "dev", "eth0"},
		{"ip", "addr", "add", "fe80::3/64", "dev", "eth0", "nodad"},
		{"ip", "addr", "add", "fd77::3/64", "dev", "eth0", "nodad"},
	} {
		if out, err := host.Command(r.ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			r.Fatalf("%v: %s", err, out)
		}
	}
	leases, config := filepath.Join(r.dir, "kea.leases"), filepath.Join(r.dir, "kea.json")
	if err := os.WriteFile(config, r.keaConfig(leases), 0o600); err != nil {
		r.Fatal(err)
	}
	cmd := host.Command(context.WithoutCancel(r.ctx), program, "-c", config)
	cmd.Env = append(os.Environ(), "KEA_PIDFILE_DIR="+r.dir, "KEA_LOCKFILE_DIR="+r.dir)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		r.Fatal(err)
	}
	said, started := bufio.NewScanner(out), false
	var log []string
	for !started && said.Scan() {
		log = append(log, said.Text())
		started = strings.Contains(said.Text(), "DHCP6_STARTED")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for said.Scan() {
			log = append(log, said.Text())
		}
	}()
	r.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		_ = cmd.Wait()
		if r.Failed() {
			r.Logf("Kea said:\n%s", strings.Join(log, "\n"))
		}
	})
	if !started {
		r.Fatal("Kea did not start")
	}
	return leases
}

// keaLeases are the lines of Kea's file of leases: address, DUID, IAID.
func (r *rig) keaLeases(file string) (lines [][3]string) {
	r.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		r.Fatal(err)
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	columns := strings.Split(all[0], ",")
	duid, iaid := slices.Index(columns, "duid"), slices.Index(columns, "iaid")
	for _, line := range all[1:] {
		cells := strings.Split(line, ",")
		lines = append(lines, [3]string{cells[0], cells[duid], cells[iaid]})
	}
	return lines
}

// TestLongUEFIBesideKea installs a machine where there is no IPv4, and another server gives
// the addresses: firmware, iPXE and the agent have theirs from Kea. The firmware's boot file
// is in this server's offer, which has no address, and Kea names the script to the iPXE. Then
// the machine is sent to its disk by an iPXE that exits, as it is without a program for that, by
// PXE and by HTTP Boot, which its firmware tries next.
func TestLongUEFIBesideKea(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, nil)
	r.onlyIPv6()
	r.router6()
	file := r.kea6()
	r.describe(ipv6MAC, object{
		"image": "small", "hostname": "node", "install": "once", "handover": "reboot", "quirks": object{"bootFile": "snponly.efi"},
	})
	r.configure(object{"networks": []object{{"name": "lab6", "interface": "br0", "subnet": "fd77::/64", "dhcp": "proxy"}}})
	imageReady(r.ctx, r.TB, r.daemon)
	m := r.on(bed.Spec{MAC: ipv6MAC, UUID: "4c4c4544-0042-3510-8052-b4c04f564433", Firmware: bed.UEFIv6, Disks: []bed.Disk{r.newDisk("node")}})
	r.expect(m, `network: .* has fd77::2`)
	r.expect(m, `node login: `)
	r.wentToDisk(ipv6MAC, 1)
	up := r.agentAt(file)
	trace := r.run("trace", ipv6MAC)
	for _, want := range []string{
		"SOLICIT from UEFI x64 PXE: ADVERTISE, boot file tftp://[fd77::1]/snponly.efi: proxy", "REQUEST from UEFI x64 PXE: REPLY, boot file tftp://[fd77::1]/snponly.efi: proxy",
		"stock iPXE: no answer: the network's own DHCPv6 server answers this", "asked from " + up, "the agent is up at " + up,
		"UEFI HTTP Boot: ADVERTISE, boot file http://[fd77::1]/loader/snponly.efi: proxy",
	} {
		if !strings.Contains(trace, want) {
			t.Errorf("the trace does not say %q:\n%s", want, trace)
		}
	}
	if n := strings.Count(trace, "sent to its own disk: "); n < 2 {
		t.Errorf("it was sent to its disk %d times, want by PXE and by HTTP Boot:\n%s", n, trace)
	}
	if strings.Contains(trace, "10.77.") {
		t.Errorf("the machine was seen by IPv4:\n%s", trace)
	}
}

// agentAt is the address that the agent of the machine had from Kea, by the identity of
// its iPXE: EDK2 has another order of the UUID's bytes.
func (r *rig) agentAt(leases string) (address string) {
	r.Helper()
	const firmware, agent = "00:04:44:45:4c:4c:42:00:10:35:80:52:b4:c0:4f:56:44:33", "00:04:4c:4c:45:44:00:42:35:10:80:52:b4:c0:4f:56:44:33"
	seen := make(map[string]int)
	associations := make(map[string]bool)
	for _, l := range r.keaLeases(leases) {
		seen[l[1]]++
		if l[1] == agent {
			address, associations[l[2]] = l[0], true
		}
	}
	if seen[firmware] == 0 || seen[agent] < 2 || len(associations) != 1 {
		r.Errorf("Kea gave leases to %v, and to iPXE and the agent by %v", seen, associations)
	}
	return address
}
