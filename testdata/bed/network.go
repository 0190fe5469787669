// Package bed is a test bed of real machines: private networks in namespaces
// of their own, virtual machines with real firmware on them, and a real Debian
// to install. Tests and the demo stand on it. It needs root and Linux.
//
// Only the namespaces that it makes itself ever see a packet, and whatever it
// starts ends with it: a [Network] or [Machine] that is closed leaves nothing
// behind, and what a killed process left is swept by the next one.
package bed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// The addresses of every bed; namespaces keep them apart.
const (
	ServerIP = "10.77.0.1"
	Prefix   = "10.77.0.1/24"
	Bridge   = "br0"
)

// namePrefix begins the name of each namespace, followed by the number of the
// process that owns it.
const namePrefix = "cloudlets-bed-"

var networks atomic.Int64

// Network is a bridge in a network namespace.
type Network struct {
	// Name is the namespace's.
	Name string

	bridge string
	mu     sync.Mutex
	ports  int
}

// NewNetwork makes a namespace with a bridge that has [Prefix] as its address.
func NewNetwork(ctx context.Context) (*Network, error) {
	sweep(ctx)
	n := newHost()
	err := ip(ctx,
		[]string{"netns", "add", n.Name},
		[]string{"-n", n.Name, "link", "set", "lo", "up"})
	if err == nil {
		err = n.addBridge(ctx, Prefix)
	}
	if err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// newHost names a namespace that is not there yet.
func newHost() *Network {
	return &Network{Name: fmt.Sprintf("%s%d-%d", namePrefix, os.Getpid(), networks.Add(1)), bridge: Bridge}
}

// addBridge makes the network's bridge, with an address such as [Prefix].
func (n *Network) addBridge(ctx context.Context, addr string) error {
	return ip(ctx,
		[]string{"-n", n.Name, "link", "add", n.bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0"},
		[]string{"-n", n.Name, "addr", "add", addr, "dev", n.bridge},
		[]string{"-n", n.Name, "link", "set", n.bridge, "up"})
}

// Second makes a second network on the same host: another bridge, with an address
// such as [Prefix]. It goes when the first one is closed.
func (n *Network) Second(ctx context.Context, bridge, addr string) (*Network, error) {
	second := &Network{Name: n.Name, bridge: bridge}
	return second, second.addBridge(ctx, addr)
}

// Close removes the namespace with all that is in it.
func (n *Network) Close() error {
	return ip(context.Background(), []string{"netns", "del", n.Name})
}

// Tap adds a tap device to the bridge, for one machine.
func (n *Network) Tap(ctx context.Context) (string, error) {
	name := n.port("tap")
	return name, ip(ctx,
		[]string{"-n", n.Name, "tuntap", "add", "dev", name, "mode", "tap"},
		[]string{"-n", n.Name, "link", "set", name, "master", n.bridge, "up"})
}

// port names a new port of the bridge.
func (n *Network) port(kind string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ports++
	return fmt.Sprintf("%s-%s%d", n.bridge, kind, n.ports)
}

// Leg adds a second host: a namespace with an interface "eth0" on the bridge
// that has the MAC given and no address. It is removed with done.
func (n *Network) Leg(ctx context.Context, mac string) (host *Network, done func(), err error) {
	port := n.port("leg")
	host = newHost()
	err = ip(ctx,
		[]string{"netns", "add", host.Name},
		[]string{"-n", n.Name, "link", "add", port, "type", "veth", "peer", "name", "eth0", "address", mac, "netns", host.Name},
		[]string{"-n", n.Name, "link", "set", port, "master", n.bridge, "up"},
		[]string{"-n", host.Name, "link", "set", "lo", "up"},
		[]string{"-n", host.Name, "link", "set", "eth0", "up"})
	if err != nil {
		return nil, nil, errors.Join(err, host.Close())
	}
	return host, func() { _ = host.Close() }, nil
}

// Command prepares a program that runs on the network. It is killed when the
// process that started it dies, whatever the reason.
func (n *Network) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// ip runs the program of that name once for each list of arguments.
func ip(ctx context.Context, steps ...[]string) error {
	for _, args := range steps {
		out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s (the test bed needs root and Debian's iproute2)", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// sweep removes the namespaces of processes that are no more.
func sweep(ctx context.Context) {
	names, _ := filepath.Glob("/run/netns/" + namePrefix + "*")
	for _, name := range names {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(name), namePrefix), "-")
		if _, err := os.Stat("/proc/" + owner); errors.Is(err, os.ErrNotExist) {
			_ = ip(ctx, []string{"netns", "del", filepath.Base(name)})
		}
	}
}
