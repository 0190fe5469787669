// Package ipmi is a management controller with IPMI 2.0, for tests: Debian's ipmi_sim
// (package openipmi), and what its chassis does when the controller is told something.
package ipmi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudlets/testdata/needs"
)

// User and Password are those of every controller.
const (
	User     = "admin"
	Password = "s3cret-of-the-bmc"
)

// Chassis is what the controller switches.
type Chassis interface {
	IsOn() bool
	// On switches it on. Network says that it boots from the network, this once.
	On(network bool) error
	Off()
}

// Options are what a controller is made of. The zero value is one on 127.0.0.1 that
// switches nothing.
type Options struct {
	Address string
	// Port is its UDP port; 0 is one that is free.
	Port int
	// Lines are further lines of its configuration's user section, see ipmi_lan(5).
	Lines string
	// Chassis is what it switches; nil is one that is off at first.
	Chassis Chassis
	// Command prepares a program of the controller's; nil is [exec.CommandContext].
	Command func(ctx context.Context, name string, args ...string) *exec.Cmd
}

// Sim is a controller that runs until the test ends.
type Sim struct {
	Port int

	options Options
	mu      sync.Mutex
	said    []string
	network bool // boot from the network at the next start
}

// patience bounds the start of a controller.
const patience = 20 * time.Second

// Start starts a controller, and returns when it answers.
func Start(t testing.TB, o Options) *Sim {
	t.Helper()
	if o.Address == "" {
		o.Address = "127.0.0.1"
	}
	if o.Chassis == nil {
		o.Chassis = new(plug)
	}
	if o.Command == nil {
		o.Command = exec.CommandContext
	}
	if o.Port == 0 {
		o.Port = FreeUDP(t, o.Address)
	}
	s := &Sim{Port: o.Port, options: o}
	dir := t.TempDir()
	socket := s.serveChassis(t, dir)
	control := filepath.Join(dir, "control")
	// The simulator runs it for each question about the chassis: control ADDRESS get|set
	// THING [VALUE].
	write(t, control, 0o755, fmt.Sprintf("#!/bin/sh\nshift\nexec %s -sf --unix-socket %s \"http://chassis/$1/$2/${3:-}\"\n", needs.Tool(t, "curl", "curl"), socket))
	config := filepath.Join(dir, "lan.conf")
	write(t, config, 0o600, fmt.Sprintf(`name "bmc"
set_working_mc 0x20
  startlan 1
    addr %s %d
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "%s 0x20"
%s  user 1 true "" "" user 10 none md2 md5 straight
  user 2 true "%s" "%s" admin 10 none md2 md5 straight
`, o.Address, s.Port, control, o.Lines, User, Password))
	commands := filepath.Join(dir, "bmc.emu")
	write(t, commands, 0o600, `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
`)
	var said bytes.Buffer
	cmd := o.Command(context.WithoutCancel(t.Context()), needs.Tool(t, "ipmi_sim", "openipmi"), "-c", config, "-f", commands, "-s", dir, "-n")
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the simulator said: %s", said.String())
		}
	})
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	for {
		out, err := s.tool(ctx, t, "chassis", "power", "status").CombinedOutput()
		if err == nil {
			return s
		}
		if ctx.Err() != nil {
			t.Fatalf("the simulator does not answer: %v: %s", err, out)
		}
	}
}

// Said returns what the chassis was told, in order: "power 1", "power 0", "reset",
// "shutdown", and "boot" with a device.
func (s *Sim) Said() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.said)
}

// Tool has Debian's ipmitool ask the controller, and returns what it prints.
func (s *Sim) Tool(t testing.TB, args ...string) string {
	t.Helper()
	out, err := s.tool(t.Context(), t, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("ipmitool %q: %v: %s", args, err, out)
	}
	return string(out)
}

func (s *Sim) tool(ctx context.Context, t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	words := append([]string{"-I", "lanplus", "-C", "3", "-N", "1", "-R", "2", "-H", s.options.Address, "-p", strconv.Itoa(s.Port), "-U", User, "-E"}, args...)
	cmd := s.options.Command(ctx, needs.Tool(t, "ipmitool", "ipmitool"), words...)
	cmd.Env = append(os.Environ(), "IPMI_PASSWORD="+Password)
	return cmd
}

// serveChassis answers the simulator's questions on a socket until the test ends.
func (s *Sim) serveChassis(t testing.TB, dir string) (socket string) {
	t.Helper()
	socket = filepath.Join(dir, "chassis")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{do}/{thing}/{value...}", func(w http.ResponseWriter, r *http.Request) {
		answer, err := s.chassis(r.PathValue("do")+" "+r.PathValue("thing"), r.PathValue("value"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(w, answer)
	})
	server := &http.Server{Handler: mux}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	return socket
}

func (s *Sim) chassis(question, value string) (answer string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.options.Chassis
	if told, set := strings.CutPrefix(question, "set "); set {
		if told != "reset" && told != "shutdown" {
			told += " " + value
		}
		s.said = append(s.said, told)
	}
	switch question {
	case "get power":
		if c.IsOn() {
			return "power:1\n", nil
		}
		return "power:0\n", nil
	case "get boot":
		if s.network {
			return "boot:pxe\n", nil
		}
		return "boot:default\n", nil
	case "set boot":
		s.network = value == "pxe"
		return "", nil
	case "set shutdown":
		c.Off()
		return "", nil
	case "set power":
		if value != "1" {
			c.Off()
			return "", nil
		}
		return "", s.start()
	case "set reset":
		if !c.IsOn() {
			return "", nil
		}
		c.Off()
		return "", s.start()
	}
	return "", fmt.Errorf("the chassis does not know %q", question)
}

// start switches the chassis on. A boot from the network was for this once.
func (s *Sim) start() error {
	network := s.network
	s.network = false
	return s.options.Chassis.On(network)
}

// plug is a chassis with nothing in it.
type plug bool

func (p *plug) IsOn() bool    { return bool(*p) }
func (p *plug) On(bool) error { *p = true; return nil }
func (p *plug) Off()          { *p = false }

// FreeUDP returns a UDP port of an address that nothing listens on.
func FreeUDP(t testing.TB, address string) int {
	t.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port
}

func write(t testing.TB, path string, mode os.FileMode, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
