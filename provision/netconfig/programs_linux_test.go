package netconfig_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/netconfig"
	"cloudlets/testdata/needs"
)

// The tests in this file give what is rendered to the programs that it is for, as
// Debian has them. The programs are unpacked and not installed, as they would
// configure the computer that runs the tests.

// unpacked is a file of the unpacked programs.
func unpacked(t *testing.T, name string) string {
	t.Helper()
	file, err := filepath.Abs(needs.Made(t, "../../bin/netconfig/"+name, "bin/netconfig"))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// patience bounds a program that does not say what a test waits for.
const patience = time.Minute

// inNamespace runs systemd-networkd in network and mount namespaces of its own, with
// three cards that have the MACs of testdata. /sys is read-only, so that it does not
// wait for udev.
const inNamespace = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/netif
chown -R systemd-network:systemd-network /run/systemd/netif
mount -t sysfs -o ro sysfs /sys
mount --bind "$1/etc/systemd/network" /etc/systemd/network
ip link set lo up
for i in 1 2 3; do
	ip link add card$i address 52:54:00:00:00:0$i type veth peer name peer$i
	ip link set peer$i up
done
exec env SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=debug /lib/systemd/systemd-networkd 2>&1`

// networkd starts systemd-networkd with files, waits until it says something, and
// returns what it complained of until then. run runs a command in its namespace.
func networkd(t *testing.T, root, until string) (complaints []string, run func(args ...string) string) {
	t.Helper()
	needs.Root(t)
	needs.File(t, "/lib/systemd/systemd-networkd", "systemd")
	if err := os.MkdirAll("/etc/systemd/network", 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	cmd := exec.CommandContext(ctx, needs.Tool(t, "unshare", "util-linux"), "--net", "--mount", "sh", "-c", inNamespace, "sh", root)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var drained sync.WaitGroup
	t.Cleanup(func() {
		stop()
		drained.Wait()
		_ = cmd.Wait() // it was ended
	})
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		said = append(said, line)
		if strings.Contains(line, "/etc/systemd/network/") && strings.Contains(line, "ignor") {
			complaints = append(complaints, line)
		}
		if strings.Contains(line, until) {
			drained.Go(func() {
				for lines.Scan() { // so that the program is not held up
				}
			})
			return complaints, func(args ...string) string {
				t.Helper()
				enter := append([]string{"--target", strconv.Itoa(cmd.Process.Pid), "--net"}, args...)
				out, err := exec.CommandContext(ctx, "nsenter", enter...).CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %v: %s", args, err, out)
				}
				return string(out)
			}
		}
	}
	t.Fatalf("systemd-networkd did not say %q, but:\n%s", until, strings.Join(said, "\n"))
	return nil, nil
}

// TestNetworkdUnderstands: systemd-networkd reads all files without a complaint. That
// it would complain is shown by a file with a mistake.
func TestNetworkdUnderstands(t *testing.T) {
	for file, archive := range cases(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			root := t.TempDir()
			writeTo(t, root, netconfig.Render(network(t, archive), provision.Networkd, netconfig.Facts{}))
			wrong := filepath.Join(root, "etc/systemd/network/99-wrong.network")
			if err := os.WriteFile(wrong, []byte("[Network]\nNoSuchKey=1\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			complaints, _ := networkd(t, root, "card1: Link state is up-to-date")
			for _, c := range complaints {
				if !strings.Contains(c, "99-wrong") {
					t.Error(c)
				}
			}
			if len(complaints) == 0 {
				t.Error("systemd-networkd did not complain of a key that does not exist")
			}
		})
	}
}

// TestNetworkdConfigures: the card that has the MAC gets its addresses, MTU and
// routes, whatever its name is.
func TestNetworkdConfigures(t *testing.T) {
	root := t.TempDir()
	writeTo(t, root, netconfig.Render(network(t, cases(t)["testdata/static.txtar"]), provision.Networkd, netconfig.Facts{}))
	_, run := networkd(t, root, "card1: State changed: configuring -> configured")
	if got := run("ip", "-brief", "address", "show", "card1"); !strings.Contains(got, " 10.0.0.5/24 10.0.1.5/24 fd00::5/64 ") {
		t.Errorf("the addresses are %s", got)
	}
	if got := run("ip", "link", "show", "card1"); !strings.Contains(got, " mtu 1400 ") {
		t.Errorf("the card is %s", got)
	}
	if got := run("ip", "route") + run("ip", "-6", "route"); !strings.Contains(got, "default via 10.0.0.1 dev card1") || !strings.Contains(got, "default via fd00::1 dev card1") {
		t.Errorf("the routes are %s", got)
	}
}

// TestNetworkManagerUnderstands: NetworkManager's own parser of keyfiles keeps every
// line. It would drop what it does not know.
func TestNetworkManagerUnderstands(t *testing.T) {
	nmcli := unpacked(t, "usr/bin/nmcli")
	libraries := filepath.Dir(unpacked(t, "usr/lib/*/libnm.so.0"))
	for file, archive := range cases(t) {
		for _, f := range netconfig.Render(network(t, archive), provision.NetworkManager, netconfig.Facts{}) {
			t.Run(filepath.Base(file)+"/"+filepath.Base(f.Path), func(t *testing.T) {
				cmd := exec.CommandContext(t.Context(), nmcli, "--offline", "connection", "modify", "connection.stable-id", "read")
				cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraries)
				cmd.Stdin = strings.NewReader(string(f.Content))
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("nmcli: %v: %s", err, out)
				}
				understood := strings.Split(string(out), "\n")
				for line := range strings.Lines(string(f.Content)) {
					line = strings.TrimSpace(line)
					if line != "" && line[0] != '#' && !slices.Contains(understood, line) {
						t.Errorf("NetworkManager does not understand %q; it has:\n%s", line, out)
					}
				}
			})
		}
	}
}

// TestIfupdownUnderstands: Debian's ifup says what it would do, in the right order.
func TestIfupdownUnderstands(t *testing.T) {
	ifup := unpacked(t, "sbin/ifup")
	wants := map[string][]string{
		"testdata/static.txtar": {
			"ip link set dev $IFACE mtu 1400", "ip addr add 10.0.0.5/255.255.255.0", "ip route replace 0.0.0.0/0 via 10.0.0.1 dev $IFACE",
			"ip addr add 10.0.1.5/", "ip -6 addr add fd00::5/64", "ip route replace ::/0 via fd00::1", "enx525400000002", "ip route replace 10.9.0.0/16",
		},
		"testdata/bond.txtar": {
			"type bond mode 802.3ad", "ip link set dev enx525400000001 master $IFACE", "ip link set dev $IFACE mtu 9000", "dhclient -4",
			"ip link add link bond0 name bond0.20 type vlan id 20", "ip addr add 10.20.0.5/", "ip link add link enx525400000003 name $IFACE type vlan id 30", "ip addr add 10.30.0.5/",
		},
		"testdata/bridge.txtar": {
			"type vlan id 40", "type bridge", "ip link set dev guests master $IFACE", "ip addr add 10.0.0.5/",
		},
	}
	for file, archive := range cases(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			root := t.TempDir()
			writeTo(t, root, netconfig.Render(network(t, archive), provision.Ifupdown, netconfig.Facts{}))
			cmd := exec.CommandContext(t.Context(), ifup, "--all", "--no-act", "--no-scripts", "--verbose",
				"--interfaces", filepath.Join(root, "etc/network/interfaces"), "--state-dir", t.TempDir())
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("ifup: %v: %s", err, out)
			}
			rest := string(out)
			for _, want := range wants[file] {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Fatalf("ifup does not do %q, or not in its turn:\n%s", want, out)
				}
				rest = after
			}
		})
	}
}
