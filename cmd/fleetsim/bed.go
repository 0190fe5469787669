//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"cloudlets/web/api"
)

// The addresses. Machines are in a part of the subnet that is routed to the
// namespace of the machines itself, so that each has its address without an
// interface of its own.
const (
	bridge       = "br0"
	bridgeAddr   = "10.64.0.1/14"
	machineRoute = "10.65.0.0/16"
	pool         = "10.65.0.1-10.65.255.254"
	maxMachines  = 60000
	firstServer  = 11
)

func serverAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 64, 0, byte(firstServer + i)}) }

// namePrefix begins the names of the namespaces, followed by the process that made
// them.
const namePrefix = "fleetsim-"

// enter makes the namespace of the machines, and runs this program again in it.
// The namespace goes with this process.
func enter(ctx context.Context, args []string) (err error) {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	name := namePrefix + strconv.Itoa(os.Getpid())
	if err := ip(ctx, "netns", "add", name); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ip(context.WithoutCancel(ctx), "netns", "del", name)) }()
	for _, step := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0"},
		{"addr", "add", bridgeAddr, "dev", bridge},
		{"link", "set", bridge, "up", "promisc", "on"},
		{"route", "add", "local", machineRoute, "dev", "lo"},
	} {
		if err := ip(ctx, append([]string{"-n", name}, step...)...); err != nil {
			return err
		}
	}
	// A server looks by ARP whether an address is free, so the kernel must not answer
	// for those that no machine has yet.
	const ignore = "echo 1 > /proc/sys/net/ipv4/conf/" + bridge + "/arp_ignore"
	if err := ip(ctx, "netns", "exec", name, "sh", "-c", ignore); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", name, self, "--inside"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Minute
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		if _, ended := errors.AsType[*exec.ExitError](err); ended {
			return errors.New("not all is well, see above")
		}
		return err
	}
	return nil
}

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s (it takes root, and Debian's iproute2)", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// bed is the servers of a simulation.
type bed struct {
	dir     string
	servers []*server
	etcd    []*process
}

// server is a daemon on a host of its own.
type server struct {
	process
	addr   netip.Addr
	socket string
	client *api.Client
}

// openBed starts the daemons, with as many members of etcd if they share a store.
func openBed(ctx context.Context, o *options, dir string) (b *bed, err error) {
	b = &bed{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	for i := range o.Servers {
		if err := b.addHost(ctx, o, i); err != nil {
			return b, err
		}
	}
	if o.Etcd != "" {
		if err := b.startEtcd(o.Etcd); err != nil {
			return b, err
		}
	}
	for i, s := range b.servers {
		site := filepath.Join(dir, "site"+strconv.Itoa(i))
		if err := writeSite(site, filepath.Join(dir, "image"), o, b.endpoints()); err != nil {
			return b, err
		}
		if err := s.start(); err != nil {
			return b, err
		}
	}
	for _, s := range b.servers {
		if err := s.waitUntilReady(ctx, o); err != nil {
			return b, err
		}
	}
	return b, nil
}

// addHost makes a namespace with an interface on the bridge, for a daemon.
func (b *bed) addHost(ctx context.Context, o *options, i int) error {
	name := fmt.Sprintf("%s%d-%d", namePrefix, os.Getpid(), i)
	if err := ip(ctx, "netns", "add", name); err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "server"+strconv.Itoa(i))
	s := &server{addr: serverAddr(i), socket: filepath.Join(dir, "sock")}
	s.process = process{namespace: name, log: filepath.Join(dir, "log"), args: []string{
		o.Program, "--socket", s.socket, "serve", "--interface", "eth0", "--dhcp", pool, "--site", filepath.Join(b.dir, "site"+strconv.Itoa(i)), "--state", filepath.Join(dir, "state"),
	}}
	b.servers = append(b.servers, s)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	port := "port" + strconv.Itoa(i)
	for _, step := range [][]string{
		{"link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name},
		{"link", "set", port, "master", bridge, "up"},
		{"-n", name, "addr", "add", s.addr.String() + "/14", "dev", "eth0"},
		{"-n", name, "link", "set", "eth0", "up"},
		{"-n", name, "link", "set", "lo", "up"},
		// As behind a router, so that the host's table of neighbours, which has
		// room for a thousand by default, is not what is measured.
		{"-n", name, "route", "add", machineRoute, "via", strings.TrimSuffix(bridgeAddr, "/14"), "dev", "eth0"},
	} {
		if err := ip(ctx, step...); err != nil {
			return err
		}
	}
	s.client = api.NewClient(s.socket)
	return nil
}

const etcdClientPort, etcdPeerPort = 2379, 2380

// startEtcd starts a member beside each daemon.
func (b *bed) startEtcd(program string) error {
	var all []string
	for i, s := range b.servers {
		all = append(all, fmt.Sprintf("m%d=http://%s:%d", i, s.addr, etcdPeerPort))
	}
	for i, s := range b.servers {
		dir := filepath.Join(b.dir, "etcd"+strconv.Itoa(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		client, peer := fmt.Sprintf("http://%s:%d", s.addr, etcdClientPort), fmt.Sprintf("http://%s:%d", s.addr, etcdPeerPort)
		m := &process{namespace: s.namespace, log: filepath.Join(dir, "log"), args: []string{
			program, "--name", fmt.Sprint("m", i), "--data-dir", filepath.Join(dir, "data"), "--log-level", "error",
			"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
			"--initial-cluster", strings.Join(all, ","), "--initial-cluster-token", "fleetsim",
		}}
		if err := m.start(); err != nil {
			return err
		}
		b.etcd = append(b.etcd, m)
	}
	return nil
}

// endpoints are the URLs of etcd's members.
func (b *bed) endpoints() (urls []string) {
	for i := range b.etcd {
		urls = append(urls, fmt.Sprintf("http://%s:%d", b.servers[i].addr, etcdClientPort))
	}
	return urls
}

// close ends all processes and removes the namespaces.
func (b *bed) close() error {
	var errs []error
	for _, s := range b.servers {
		if s.client != nil {
			s.client.Close()
		}
		s.end(syscall.SIGTERM)
	}
	for _, m := range b.etcd {
		m.end(syscall.SIGTERM)
	}
	for _, s := range b.servers {
		errs = append(errs, ip(context.Background(), "netns", "del", s.namespace))
	}
	return errors.Join(errs...)
}

// waitUntilReady waits until the daemon answers and its image can be booted.
func (s *server) waitUntilReady(ctx context.Context, o *options) error {
	for {
		images, err := s.client.Images(ctx)
		if err == nil && len(images) == 1 && images[0].Status == api.ImageReady {
			return nil
		}
		select {
		case <-ctx.Done():
			text, _ := json.Marshal(images)
			return fmt.Errorf("the daemon at %s is not ready: %w (%w); images %s; its log is %s", s.addr, ctx.Err(), err, text, s.log)
		case <-s.ended():
			log, _ := os.ReadFile(s.log)
			return fmt.Errorf("the daemon at %s has ended; its log:\n%s", s.addr, log)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// process is a program that runs in a namespace, and what it has used.
type process struct {
	namespace, log string
	args           []string

	mu     sync.Mutex
	cmd    *exec.Cmd
	done   chan struct{}
	used   time.Duration // processor time of earlier runs
	memory int64         // the largest that was seen, in bytes
	// anonymous is the part of it that is no file's, at most. The rest is cache, which
	// the kernel takes back when it needs it.
	anonymous int64
}

// start starts the program, again if it has ended.
func (p *process) start() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cmd = exec.Command("ip", append([]string{"netns", "exec", p.namespace}, p.args...)...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.args[0], err)
	}
	p.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // its log says why it ended
		close(done)
	}(p.cmd, p.done)
	return nil
}

// ended is closed when the program has ended.
func (p *process) ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// end ends the program, and counts what it has used.
func (p *process) end(signal syscall.Signal) {
	p.look()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	p.used += p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	p.cmd = nil
}

// look notes how much memory the program has used at most.
func (p *process) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmHWM:":
			p.memory = max(p.memory, kib<<10)
		case "RssAnon:":
			p.anonymous = max(p.anonymous, kib<<10)
		}
	}
}
