//go:build long

package bed_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloudlets/dhcp/dhcptest"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/ipmi"
	"cloudlets/testdata/redfish"
)

// TestLongPower installs two machines that are off from a chair: a BIOS machine behind
// IPMI, and a UEFI machine behind Redfish. Their firmware tries their disks first. So the
// second install takes a boot from the network that the controllers are told, for once.
func TestLongPower(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, asServer)
	const bios, uefi = "52:54:00:00:00:01", "52:54:00:00:00:02"
	chassis := map[string]*bed.Chassis{
		"node1": r.off(bed.Spec{MAC: bios, Firmware: bed.BIOS, Disks: []bed.Disk{r.newDisk("node1")}}),
		"node2": r.off(bed.Spec{MAC: uefi, Firmware: bed.UEFI, Disks: []bed.Disk{r.newDisk("node2")}}),
	}
	bmc := ipmi.Start(t, ipmi.Options{Address: "10.77.0.1", Port: 623, Chassis: chassis["node1"], Command: r.network.Command})
	var listener net.Listener
	if err := dhcptest.Inside(r.network.Name, func() (err error) {
		listener, err = net.Listen("tcp4", "10.77.0.1:0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	rest := redfish.StartOn(t, listener, "1")
	rest.Chassis = map[string]redfish.Chassis{"1": chassis["node2"]}
	for name, password := range map[string]string{"ipmi": ipmi.Password, "redfish": redfish.Password} {
		if err := os.WriteFile(filepath.Join(r.daemon.Site, name), []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.describe(bios, object{"image": "small", "hostname": "node1", "power": object{
		"ipmi": "10.77.0.1", "user": ipmi.User, "passwordFile": "ipmi",
	}})
	r.describe(uefi, object{"image": "small", "hostname": "node2", "power": object{
		"redfish": rest.URL, "user": redfish.User, "passwordFile": "redfish", "certificate": "sha256:" + rest.Fingerprint(),
	}})

	r.power("off", "state", chassis)
	for i, flags := range [][]string{{"--power", "--wait"}, {"--power", "--wait", "--wipe"}} {
		r.run(append([]string{"install", "node1", "node2"}, flags...)...)
		for name, c := range chassis {
			m := r.started(c)
			r.expect(m, name+" login: ")
			r.installed(m.Spec.MAC, i+1)
			if !fromNetwork.MatchString(m.Console.Text()) {
				t.Errorf("%s did not boot from the network", name)
			}
		}
		r.power("on", "state", chassis)
	}
	r.power("off", "off", chassis)
	for name, c := range chassis {
		if c.IsOn() {
			t.Errorf("%s was switched off, and is on", name)
		}
	}
	r.power("on", "on", chassis)
	for name, c := range chassis {
		m := r.started(c)
		r.expect(m, name+" login: ")
		if fromNetwork.MatchString(m.Console.Text()) {
			t.Errorf("%s booted from the network, which it was told twice, and not three times", name)
		}
	}
	if said := strings.Join(bmc.Said(), ", "); said != "boot pxe, power 1, boot pxe, power 0, power 1, shutdown, power 1" {
		t.Errorf("the controller of node1 was told %s", said)
	}
	if said := strings.Join(rest.Said("1"), ", "); !strings.HasPrefix(said, "boot Pxe, On, boot Pxe, ") || strings.Count(said, "boot") != 2 {
		t.Errorf("the controller of node2 was told %s", said)
	}
}

// fromNetwork is what firmware says when it boots from the network.
var fromNetwork = regexp.MustCompile(`iPXE 1\.|Start PXE over`)

// power runs the verb, and wants each machine to be as it says.
func (r *rig) power(want, action string, chassis map[string]*bed.Chassis) {
	r.Helper()
	args := []string{"power", action, "node1", "node2"}
	shown := r.run(args...)
	for name, c := range chassis {
		if !regexp.MustCompile(`(?m)^`+name+`\b.*\b`+want+`\b`).MatchString(shown) || c.IsOn() != (want == "on") {
			r.Errorf("cloudlets %s shows %s, which shall be %s and is on %t, as\n%s", strings.Join(args, " "), name, want, c.IsOn(), shown)
		}
	}
}

// started waits until a machine is switched on.
func (r *rig) started(c *bed.Chassis) *bed.Machine {
	r.Helper()
	select {
	case m := <-c.Starts():
		return m
	case <-r.ctx.Done():
		r.Fatal("the machine is not switched on")
		return nil
	}
}

// off makes a machine that is off, and is switched by its controller.
func (r *rig) off(spec bed.Spec) *bed.Chassis {
	c := bed.NewChassis(context.WithoutCancel(r.ctx), r.network, r.dir, spec)
	r.Cleanup(func() {
		c.Off()
		if r.Failed() {
			trace, _ := r.daemon.Run(context.Background(), "trace", spec.MAC)
			r.Logf("trace of %s:\n%s", spec.MAC, trace)
		}
	})
	return c
}
