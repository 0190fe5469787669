package bed

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Router is a host on a network with another network behind it. It forwards IP,
// and passes DHCP on as ISC's relay agent.
type Router struct {
	// Behind is the network behind it.
	Behind *Network

	agent *exec.Cmd
	log   string
}

// RouterSpec says what a router is made of.
type RouterSpec struct {
	// MAC and Addr are its own on the network that it stands on, "10.77.0.254/24".
	MAC, Addr string
	// Behind is its address on the network behind it, "10.79.0.1/24".
	Behind string
	// Server is the DHCP server's address, to which the relay agent sends.
	Server string
	// Agent is the program dhcrelay (make unpacks it), and Log the file for its words.
	Agent, Log string
}

// Route adds a router to a network whose host is the server. The host gets a route
// to the network behind it.
func (n *Network) Route(ctx context.Context, s RouterSpec) (*Router, error) {
	host, _, err := n.Leg(ctx, s.MAC)
	if err != nil {
		return nil, err
	}
	r := &Router{Behind: host, log: s.Log}
	if err := r.open(ctx, n, s); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Router) open(ctx context.Context, n *Network, s RouterSpec) error {
	own, err := netip.ParsePrefix(s.Addr)
	if err != nil {
		return err
	}
	behind, err := netip.ParsePrefix(s.Behind)
	if err != nil {
		return err
	}
	err = errors.Join(
		ip(ctx, []string{"-n", r.Behind.Name, "addr", "add", s.Addr, "dev", "eth0"}),
		r.Behind.addBridge(ctx, s.Behind),
		ip(ctx, []string{"-n", n.Name, "route", "add", behind.Masked().String(), "via", own.Addr().String()}),
		ip(ctx, []string{"-n", r.Behind.Name, "route", "add", "default", "via", s.Server}))
	if err != nil {
		return err
	}
	if out, err := r.Behind.Command(ctx, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1").CombinedOutput(); err != nil {
		return fmt.Errorf("have the router forward: %w: %s (Debian package procps)", err, strings.TrimSpace(string(out)))
	}
	return r.relay(ctx, s)
}

// relay starts the relay agent. Packets that come before it is ready are lost, and
// firmware sends them again.
func (r *Router) relay(ctx context.Context, s RouterSpec) error {
	program, err := filepath.Abs(s.Agent)
	if err != nil {
		return err
	}
	log, err := os.Create(s.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	agent := r.Behind.Command(context.WithoutCancel(ctx), program, "-4", "-d", "--no-pid", "-a", "-id", r.Behind.bridge, "-iu", "eth0", s.Server)
	agent.Stdout, agent.Stderr = log, log
	if err := agent.Start(); err != nil {
		return fmt.Errorf("start the relay agent %s: %w (make unpacks it)", s.Agent, err)
	}
	r.agent = agent
	return nil
}

// Log is what the relay agent has said.
func (r *Router) Log() string {
	text, _ := os.ReadFile(r.log)
	return string(text)
}

// Close ends the relay agent, and removes the router with the network behind it.
func (r *Router) Close() error {
	if r.agent != nil {
		_ = r.agent.Process.Kill()
		_ = r.agent.Wait()
	}
	return r.Behind.Close()
}
