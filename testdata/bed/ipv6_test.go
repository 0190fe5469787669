package bed_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cloudlets/testdata/bed"
	"cloudlets/testdata/needs"
)

// router6 is the network's IPv6 router, on a host of its own. It advertises that
// addresses come by DHCPv6.
func (r *rig) router6() {
	r.Helper()
	radvd := needs.Tool(r.TB, "radvd", "radvd")
	host, done, err := r.network.Leg(r.ctx, "52:54:00:00:00:fd")
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(done)
	for _, args := range [][]string{
		{"ip", "addr", "add", "fd77::2/64", "dev", "eth0", "nodad"},
		{"sysctl", "-q", "net.ipv6.conf.all.forwarding=1"},
	} {
		if out, err := host.Command(r.ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			r.Fatalf("%v: %s", err, out)
		}
	}
	config := filepath.Join(r.dir, "radvd.conf")
	text := `interface eth0 {
	AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 10; AdvManagedFlag on; AdvOtherConfigFlag on;
	prefix fd77::/64 { AdvOnLink on; AdvAutonomous off; };
};
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
	cmd := host.Command(context.WithoutCancel(r.ctx), radvd, "-n", "-m", "stderr", "-C", config, "-p", filepath.Join(r.dir, "radvd.pid"))
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // radvd has a child with its privileges
		_ = cmd.Wait()
	})
}

// TestUEFIOverIPv6 installs a machine where there is no IPv4: its firmware gets an address
// by DHCPv6, iPXE by TFTP, and from iPXE's script the kernel and the RAM disk. The agent
// has the same address as the firmware, so the server knows it as the same machine.
func TestUEFIOverIPv6(t *testing.T) {
	alongside(t, 37)
	r := newRig(t, map[string]string{"small": small}, nil)
	m := r.installByIPv6("switch")
	r.expect(m, `node login: `)
	r.wentByIPv6()
}

// onlyIPv6 takes away the server's IPv4 address and gives it one of IPv6.
func (r *rig) onlyIPv6() {
	r.Helper()
	for _, args := range [][]string{{"ip", "addr", "flush", "dev", bed.Bridge, "scope", "global"}, {"ip", "addr", "add", "fd77::1/64", "dev", bed.Bridge, "nodad"}} {
		if out, err := r.network.Command(r.ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			r.Fatalf("%v: %s", err, out)
		}
	}
}

// withIPv6 has the server give addresses of IPv6, on a network that has nothing else.
func (r *rig) withIPv6() {
	r.Helper()
	r.onlyIPv6()
	r.router6()
	r.configure(object{"networks": []object{{"name": "lab6", "interface": "br0", "subnet": "fd77::/64", "pool": "fd77::1000-fd77::1fff"}}})
}

// ipv6MAC is the machine that is installed by IPv6.
const ipv6MAC = "52:54:00:00:06:01"

// installByIPv6 starts a machine where there is no IPv4, and waits for its agent.
func (r *rig) installByIPv6(handover string) *bed.Machine {
	r.Helper()
	r.withIPv6()
	r.describe(ipv6MAC, object{"image": "small", "hostname": "node", "install": "once", "handover": handover, "address": "fd77::21"})
	imageReady(r.ctx, r.TB, r.daemon)
	m := r.on(bed.Spec{MAC: ipv6MAC, Firmware: bed.UEFIv6, Disks: []bed.Disk{r.newDisk("node")}})
	r.expect(m, `network: .* has fd77::21`)
	return m
}

// wentByIPv6 checks what the daemon saw of an install.
func (r *rig) wentByIPv6(more ...string) {
	r.Helper()
	trace := r.run("trace", ipv6MAC)
	for _, want := range append([]string{
		"SOLICIT from UEFI x64 PXE: ADVERTISE fd77::21, boot file tftp://[fd77::1]/snponly.efi", "fetched snponly.efi by TFTP",
		"stock iPXE: REPLY fd77::21, boot file http://[fd77::1]/boot/" + ipv6MAC + "/script", "fetched vmlinuz by HTTP", "fetched ramdisk by HTTP",
		"the agent is up at fd77::21",
	}, more...) {
		if !strings.Contains(trace, want) {
			r.Errorf("the trace does not say %q:\n%s", want, trace)
		}
	}
	if strings.Contains(trace, "10.77.") {
		r.Errorf("the machine was seen by IPv4:\n%s", trace)
	}
	if s := r.machine(ipv6MAC); s.Address != "fd77::21" {
		r.Errorf("the machine is at %s", s.Address)
	}
	var list struct{ Networks []struct{ Pool string } }
	if err := json.Unmarshal([]byte(r.run("networks", "--json")), &list); err != nil || len(list.Networks) != 1 || list.Networks[0].Pool != "fd77::1000-fd77::1fff" {
		r.Errorf("the networks are %+v (%v)", list, err)
	}
}
