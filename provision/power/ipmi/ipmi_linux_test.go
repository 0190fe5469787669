package ipmi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloudlets/provision/power"
	"cloudlets/testdata/needs"
)

const password = "s3cret-of-the-bmc"

// startSim starts Debian's simulator of a controller, and returns its port. What the
// chassis was told stands in the file "said" of the folder that is returned.
func startSim(t *testing.T, address string) (port int, dir string) {
	t.Helper()
	return startSimOf(t, address, "")
}

// startSimOf starts it with more lines in its configuration.
func startSimOf(t *testing.T, address, more string) (port int, dir string) {
	t.Helper()
	sim := needs.Tool(t, "ipmi_sim", "openipmi")
	dir = t.TempDir()
	port = freeUDP(t, address)
	// The simulator runs it for each question about the chassis.
	control := filepath.Join(dir, "control")
	write(t, control, 0o755, fmt.Sprintf(`#!/bin/sh
# control ADDRESS get|set THING [VALUE]
cd %q
shift
case "$1 $2" in
"get power") if [ -e on ]; then echo power:1; else echo power:0; fi ;;
"set power") echo "power $3" >>said; if [ "$3" = 1 ]; then : >on; else rm -f on; fi ;;
"set reset") echo reset >>said ;;
"set shutdown") echo shutdown >>said; rm -f on ;;
"set boot") echo "boot $3" >>said; echo "$3" >boot ;;
"get boot") echo "boot:$(cat boot 2>/dev/null || echo default)" ;;
*) echo "unknown $*" >>said; exit 1 ;;
esac
`, dir))
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
  user 2 true "admin" "%s" admin 10 none md2 md5 straight
`, address, port, control, more, password))
	commands := filepath.Join(dir, "bmc.emu")
	write(t, commands, 0o600, `mc_setbmc 0x20
mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr
mc_enable 0x20
`)
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), sim, "-c", config, "-f", commands, "-s", dir, "-n")
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
	c := New(Config{Host: address, Port: port, User: "admin", Password: power.NewSecret(password)})
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for end := time.After(20 * time.Second); ; {
		_, err := c.State(t.Context())
		if err == nil {
			return port, dir
		}
		select {
		case <-end:
			t.Fatalf("the simulator does not answer: %v", err)
		case <-again.C:
		}
	}
}

func freeUDP(t *testing.T, address string) int {
	t.Helper()
	conn, err := net.ListenPacket("udp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).Port
}

func write(t *testing.T, path string, mode os.FileMode, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// TestSimulator: the actions reach a controller that is not ours, and Debian's ipmitool
// sees what they did.
func TestSimulator(t *testing.T) {
	port, dir := startSim(t, "127.0.0.1")
	ctx := t.Context()
	c := New(Config{Host: "127.0.0.1", Port: port, User: "admin", Password: power.NewSecret(password), UEFI: true})
	wantState := func(want power.State) {
		t.Helper()
		state, err := c.State(ctx)
		if err != nil || state != want {
			t.Fatalf("the state is %s (%v), not %s", state, err, want)
		}
		if out := ipmitool(t, port, "chassis", "power", "status"); !strings.Contains(out, "Power is "+string(want)) {
			t.Fatalf("ipmitool says %q", out)
		}
	}
	do := func(action power.Action) {
		t.Helper()
		if err := c.Do(ctx, action); err != nil {
			t.Fatal(err)
		}
	}
	wantState(power.IsOff)
	do(power.BootNetwork)
	do(power.On)
	wantState(power.IsOn)
	do(power.Reset)
	do(power.Shutdown)
	wantState(power.IsOff)
	do(power.On)
	do(power.Off)
	wantState(power.IsOff)
	said, err := os.ReadFile(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(strings.Fields(string(said)), " "), "boot pxe power 1 reset shutdown power 1 power 0"; got != want {
		t.Errorf("the chassis was told %q, want %q", got, want)
	}
}

// TestWrongPassword: the error says what to look at, and not the password. It comes at
// once, since nothing is waited for.
func TestWrongPassword(t *testing.T) {
	port, dir := startSim(t, "127.0.0.1")
	for want, wrong := range map[string]Config{
		"the password is wrong": {User: "admin", Password: power.NewSecret("another-password")},
		"not know the user":     {User: "bob", Password: power.NewSecret(password)},
	} {
		wrong.Host, wrong.Port = "127.0.0.1", port
		err := New(wrong).Do(t.Context(), power.On)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), wrong.Password.Reveal()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if said, err := os.ReadFile(filepath.Join(dir, "said")); err == nil {
		t.Errorf("the chassis was told %q", said)
	}
}

// TestIPv6: a controller may have an IPv6 address.
func TestIPv6(t *testing.T) {
	port, _ := startSim(t, "::1")
	c := New(Config{Host: "::1", Port: port, User: "admin", Password: power.NewSecret(password)})
	if state, err := c.State(t.Context()); err != nil || state != power.IsOff {
		t.Errorf("%s %v", state, err)
	}
}

// TestNobody: without an answer the call ends with its context.
func TestNobody(t *testing.T) {
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // as soon as it asked
		_, _, _ = conn.ReadFrom(make([]byte, 1500))
		cancel()
	}()
	c := New(Config{Host: "127.0.0.1", Port: conn.LocalAddr().(*net.UDPAddr).Port, User: "admin", Password: power.NewSecret("x")})
	if state, err := c.State(ctx); !errors.Is(err, context.Canceled) || state != power.Unknown {
		t.Errorf("%s %v", state, err)
	}
}

// TestClosed: a port that nobody listens to is said at once.
func TestClosed(t *testing.T) {
	c := New(Config{Host: "127.0.0.1", Port: freeUDP(t, "127.0.0.1"), User: "admin", Password: power.NewSecret("x")})
	if _, err := c.State(t.Context()); err == nil || !strings.Contains(err.Error(), "is IPMI over LAN on there?") {
		t.Error(err)
	}
}

func ipmitool(t *testing.T, port int, args ...string) string {
	t.Helper()
	tool := needs.Tool(t, "ipmitool", "ipmitool")
	cmd := exec.CommandContext(t.Context(), tool, append([]string{"-I", "lanplus", "-C", "3", "-H", "127.0.0.1", "-p", strconv.Itoa(port), "-U", "admin", "-E"}, args...)...)
	cmd.Env = append(os.Environ(), "IPMI_PASSWORD="+password)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ipmitool %q: %v: %s", args, err, out)
	}
	return string(out)
}
